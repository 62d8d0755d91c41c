"""Personal data that is known by its shape: e-mail addresses, numbers of payment cards, and IBANs; off by default."""

import re
from collections.abc import Callable

_EMAIL = re.compile(rb"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])")
_CARD = re.compile(rb"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d-])")
_IBAN = re.compile(rb"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{1,4}){3,8}(?![A-Za-z0-9])")


def mask_personal_data(data: bytes, replacement: Callable[[bytes], bytes]) -> bytes:
    """Return UTF-8 with what is personal replaced."""
    data = _EMAIL.sub(lambda match: replacement(match[0]), data)
    data = _IBAN.sub(lambda match: replacement(match[0]) if is_iban(match[0]) else match[0], data)
    return _CARD.sub(lambda match: replacement(match[0]) if is_card(match[0]) else match[0], data)


def is_card(number: bytes) -> bool:
    """Return True if the digits of a number have the check digit of a payment card (ISO/IEC 7812-1, Luhn).

    >>> is_card(b"4111 1111 1111 1111")
    True
    """
    digits = [byte - 48 for byte in number if 48 <= byte <= 57]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return digits[0] in {2, 3, 4, 5, 6} and (sum(doubled) + sum(digits[::-2])) % 10 == 0


def is_iban(number: bytes) -> bool:
    """Return True if a number has the check digits of an IBAN (ISO 13616).

    >>> is_iban(b"DE89 3704 0044 0532 0130 00")
    True
    """
    text = number.decode().replace(" ", "")
    return 15 <= len(text) <= 34 and int("".join(str(int(sign, 36)) for sign in text[4:] + text[:4])) % 97 == 1
