"""Tokens that are known by their shape alone: the prefix that the vendor gives them, and what follows it.

The prefixes are those that gitleaks and detect-secrets agree on, and some that only one of them has.
"""

from typing import Final

from dashcam.record.masking.lazy_pattern import lazy_pattern

_W = r"[\w-]"

# Prefixes, in their own case, and the pattern of the whole token; after an address, of what follows the prefix.
TOKENS: Final = (
    (("eyJ",), rf"(?<![\w-])eyJ{_W}{{4,}}\.{_W}{{4,}}(?:\.{_W}+){{0,3}}"),  # JSON web token, RFC 7519
    (
        ("AKIA", "ASIA", "ABIA", "ACCA", "A3T"),
        r"(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{12,20}(?![A-Za-z0-9])",
    ),  # AWS
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"gh[pousr]_[A-Za-z0-9_]{20,255}"),  # GitHub
    (("github_pat_",), r"github_pat_\w{20,255}"),
    (
        ("glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-", "glimt-", "glagent-", "gloas-", "glffct-"),
        r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent|oas|ffct)-[\w.-]{16,}",  # GitLab
    ),
    (
        ("xoxb-", "xoxp-", "xoxa-", "xoxr-", "xoxs-", "xoxo-", "xoxe", "xapp-", "xoxc-", "xoxd-"),
        r"x(?:ox[a-z](?:\.xox[bp])?|app)-[\w%./+-]{8,}",
    ),
    (("hooks.slack.com/", "hooks.slack-gov.com/"), r"(?:services|workflows|triggers)/[\w/+-]{8,}"),
    (("discord.com/api/webhooks/", "discordapp.com/api/webhooks/"), r"\d{5,20}/[\w-]{8,}"),  # Discord
    (("webhook.office.com/",), r"[\w@/.-]{16,}"),
    (("api.telegram.org/bot",), r"\d{5,16}:[\w-]{20,}"),
    (
        ("sk_live_", "sk_test_", "rk_live_", "rk_test_", "sk_prod_", "rk_prod_"),
        r"[sr]k_(?:live|test|prod)_[A-Za-z0-9]{8,}",
    ),
    (("whsec_",), r"whsec_[A-Za-z0-9+/=]{16,}"),  # Stripe
    (("AIza",), rf"AIza{_W}{{30,}}"),  # Google
    (("ya29.",), r"ya29\.[\w.-]{10,}"),
    (("GOCSPX-",), rf"GOCSPX-{_W}{{16,}}"),
    (("1//0",), rf"1//0{_W}{{20,}}"),
    (("npm_",), r"npm_[A-Za-z0-9]{30,}"),
    (("pypi-",), rf"pypi-(?=[A-Za-z_-]{{0,99}}+\d)(?=[a-z\d_-]{{0,99}}+[A-Z]){_W}{{16,}}"),
    (("rubygems_",), r"rubygems_[0-9a-f]{40,}"),
    (("SG.",), rf"SG\.{_W}{{16,32}}\.{_W}{{16,64}}"),  # SendGrid
    (("xkeysib-",), r"xkeysib-[\w-]{30,}"),
    (("sk-",), rf"sk-(?=[A-Za-z_-]{{0,99}}+\d){_W}{{18,}}"),  # OpenAI, Anthropic and others
    (("hvs.", "hvb.", "hvr."), rf"hv[sbr]\.{_W}{{16,}}"),  # Vault
    (("dop_v1_", "doo_v1_", "dor_v1_"), r"do[por]_v1_[0-9a-f]{32,}"),  # DigitalOcean
    (("shpat_", "shpca_", "shppa_", "shpss_"), r"shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{32}"),  # Shopify
    (("sq0atp-", "sq0csp-", "sq0idp-"), rf"sq0(?:atp|csp|idp)-{_W}{{20,}}"),  # Square
    (("EAAA",), rf"EAAA{_W}{{56,}}"),
    (("dapi",), r"dapi[0-9a-f]{32}(?:-\d)?"),  # Databricks
    (("PMAK-",), r"PMAK-[0-9a-f]{20,}-[0-9a-f]{30,}"),  # Postman
    (("lin_api_",), r"lin_api_[A-Za-z0-9]{30,}"),
    (("NRAK-", "NRII-", "NRRA-", "NRJS-"), rf"NR(?:AK|II|RA|JS)-{_W}{{19,}}"),  # New Relic
    (("glsa_", "glc_"), r"gl(?:sa|c)_[\w+/=]{20,}"),  # Grafana
    (("hf_",), r"hf_[A-Za-z0-9]{30,}"),
    (("r8_",), r"r8_[A-Za-z0-9]{30,}"),
    (("figd_",), rf"figd_{_W}{{30,}}"),
    (("dckr_pat_", "dckr_oat_"), rf"dckr_[po]at_{_W}{{20,}}"),
    (("ATATT3",), r"ATATT3[\w=-]{40,}"),  # Atlassian
    (("pul-",), r"pul-[0-9a-f]{40}"),
    (("sbp_",), r"sbp_[0-9a-f]{32,}"),
    (("AKCp",), r"AKCp[A-Za-z0-9]{10,}"),  # Artifactory
    (("sntrys_", "sntryu_"), r"sntry[su]_[\w+/=.-]{20,}"),
    (("dp.pt.", "dp.st."), r"dp\.[ps]t\.[\w.-]{20,}"),  # Doppler
    (("AGE-SECRET-KEY-1",), r"AGE-SECRET-KEY-1[0-9A-Z]{20,}"),
    (("LTAI",), r"LTAI[A-Za-z0-9]{12,}"),  # Alibaba
    (("amzn.mws.",), r"amzn\.mws\.[0-9a-f-]{30,}"),
    (("phx_", "phc_"), r"ph[xc]_[A-Za-z0-9]{30,}"),
    (("key-",), r"key-[0-9a-f]{32}"),  # Mailgun
    (("dt0c01.",), r"dt0c01\.[A-Z0-9]{20,}\.[A-Z0-9]{40,}"),  # Dynatrace
    (("tfp_",), r"tfp_[\w-]{30,}"),
    (("ntn_",), r"ntn_[A-Za-z0-9]{30,}"),
)
PREFIXES: Final = tuple(prefix for prefixes, _ in TOKENS for prefix in prefixes)
_BY_PREFIX = {prefix: lazy_pattern(pattern.encode()) for prefixes, pattern in TOKENS for prefix in prefixes}


def token_at(data: bytes, begin: int, end: int) -> tuple[int, int] | None:
    """Return where the token that begins with the prefix between two indices stands; None if it is not a token."""
    prefix = data[begin:end].decode()
    match = _BY_PREFIX[prefix].match(data, end if prefix.endswith(("/", "/bot")) else begin)
    return match.span() if match else None
