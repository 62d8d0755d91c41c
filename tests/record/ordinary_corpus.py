"""Ordinary messages that hold a word of masking and no secret; docs/masking.md publishes how many are changed."""

from itertools import product

_FIXED = """
the password is too short
password must be at least 12 characters long
Password: must contain a digit
password: required
Password reset requested for ann
password authentication failed for user "cars"
FATAL:  password authentication failed for user "cars"
FATAL: no password supplied
wrong password for ann, 3 attempts left
user ann changed the password
password=%s
password = %s
password={}
password={password}
password=${PASSWORD}
password=$PASSWORD
password=<password>
password=<redacted>
password=[REDACTED]
password=********
password='***'
password=None
password: null
{'password': None}
{"password": null, "user": "ann"}
{"password": "********"}
{"password": ""}
password=''
PWD=/home/ann/cars
OLDPWD=/var/lib/cars
PWD=
cwd=/srv pwd=/srv/app
has_password=True
has_password: false
password_set=yes
password_required: true
password_policy=strong
password_length=14
password_min_length: 12
password_hint: none
password_file=/run/secrets/db_password
POSTGRES_PASSWORD_FILE=/run/secrets/pg
passwordless login for ann
passwd: file not found
passwd entry for ann missing
/etc/passwd is not readable
reading /etc/passwd: permission denied
passphrase required for key /home/ann/.ssh/id_ed25519
passphrase: missing
{"password": ["This field is required."]}
{'password': ['This field may not be blank.'], 'email': ['Enter a valid email address.']}
{"password": {"type": "string", "minLength": 8}}
{'password': [ErrorDetail(string='This field is required.', code='required')]}
{"errors": {"password": "Password is too common."}}
missing fields: ['password', 'email']
fields = ('username', 'password')
fields = ["user", "password", "email"]
def login(user: str, password: str) -> bool:
    connect(host=host, user=user, password=password)
    password = getpass.getpass()
    password=os.environ["DB_PASSWORD"],
    password = request.form["password"]
    token = get_token(user)
    token = self.tokens.pop()
    api_key=settings.API_KEY,
    secret = config.get("secret")
psycopg2.connect(dbname=name, user=user, password=password)
SELECT id, password FROM users WHERE id = 7
SELECT token, expires FROM sessions WHERE user_id = %s
UPDATE users SET password = %s WHERE id = %s
UPDATE users SET password = ? WHERE id = ?
UPDATE users SET password = $1 WHERE id = $2
UPDATE users SET password = :password WHERE id = :id
INSERT INTO users (name, password) VALUES (%s, %s)
INSERT INTO tokens (user_id, token) VALUES ($1, $2)
CREATE TABLE users (id int, password varchar(255) NOT NULL)
CREATE INDEX tokens_token_idx ON tokens (token)
ALTER TABLE users ADD COLUMN token text
max_tokens=512
max_tokens: 4096
max_tokens=4096, temperature=0.7
{"max_tokens": 512, "model": "x"}
"usage": {"prompt_tokens": 12, "completion_tokens": 40, "total_tokens": 52}
prompt_tokens=12 completion_tokens=40 total_tokens=52
tokens=512
tokens: 512/4096
tokens used: 512
Tokens: prompt=12, completion=40
tokens per second: 81.3
token_count=7
token count: 7
tokens left: 12
num_tokens=12
n_tokens = 12
tokens=[12, 55, 791]
input tokens: 1,024
5 tokens left in the bucket
token bucket: 5 of 10 left
rate limit: 10 tokens/s
InvalidTokenError: Not enough segments
jwt.exceptions.ExpiredSignatureError: Signature has expired
jwt.exceptions.DecodeError: Invalid header padding
TokenExpired: refresh needed
TokenError: Token is invalid or expired
PasswordMismatch: try again
MissingCredentialsException: no profile
botocore.exceptions.NoCredentialsError: Unable to locate credentials
InvalidPasswordException: too weak
CSRF token missing or incorrect.
Forbidden (CSRF token missing.): /cars
CSRF verification failed. Request aborted.
CSRF token: missing
CSRF cookie not set.
SyntaxError: Unexpected token < in JSON at position 0
Unexpected token: }
unexpected token 'else'
Unexpected token: 'else'
Unexpected token "}" at line 7
unexpected token at line 3
syntax error near unexpected token `done'
invalid token at position 12
Parse error: next token: ';'
expected token: ')'
token: expired
token: invalid
token expired 5 minutes ago
Token: refreshing in background
token has expired
token is invalid
token is not valid
token=expired
token_type=bearer
token_type: Bearer
"token_type": "bearer"
"token_type":"Bearer","expires_in":3600
token_url=https://example.org/oauth/token
token endpoint: https://example.org/token
token_expires_in=3600
token_expires_at=2026-11-25T12:00:00Z
token_ttl: 3600
token lifetime: 1 hour
refreshed token for ann
access token refreshed, expires in 3600 s
issuing token for user 17
revoked 3 tokens of user 17
no token given
tokenizer=bpe
tokenizer loaded in 12 ms
tokenized 512 words
TokenStream::next
Token::Ident
std::token::Token
secretary: Ann
the secretary's note
Secret Santa starts today
secret: not found
secret "db-credentials" not found
secret/db-credentials created
secrets: mounted at /run/secrets
Error: secret not found
loaded 5 secrets
secret_name=db-credentials
secretName: db-credentials
secret_version=3
secret_arn=arn:aws:secretsmanager:eu-west-1:1:secret:x
SecretStr('**********')
secretKeyRef: name: db-credentials
cookie consent: accepted
cookie_consent=accepted
cookies=3
cookies: disabled
cookies enabled
cookie_secure=True
cookie_domain=.example.org
cookie_name=session
cookie_path=/
cookie: missing
SESSION_COOKIE_SECURE=True
SESSION_COOKIE_NAME: session
SESSION_COOKIE_SAMESITE=Lax
cookiecutter template rendered
setting cookie for ann
no cookie in request
Authorization: required
authorization: denied
authorization failed for user 7
authorization header missing
Missing Authorization header
authorization_endpoint=https://example.org/auth
authorization_url: https://example.org/auth
WWW-Authenticate: Bearer realm="cars"
WWW-Authenticate: Basic realm="cars"
basic features enabled
basic authentication is off
bearer of good news
bearer tokens are accepted
credentials: none
credentials: missing
invalid credentials
credentials=None
invalid credentials: user not found
credentials_file=/home/ann/.aws/credentials
credential_type=service_account
credential provider: env
using credentials from environment
api_key=None
api key missing
api key: required
API key not valid. Please pass a valid API key.
api_key_name=ci
apikey: null
api_key_count=2
private key not found
private_key_path=/etc/ssl/key.pem
private_key_file: /etc/ssl/key.pem
private key: /etc/ssl/private/server.key is not readable
public_key=abc
primary key: id
PRIMARY KEY (id)
FOREIGN KEY (car_id) REFERENCES cars(id)
key=cars:7 hit
cache key: cars:7:detail
Key (id)=(7) already exists.
Key (name)=(golf) already exists.
keyboard: qwerty
monkey=1
hotkey: ctrl+k
author: Ann
author=Ann Smith
authority: example.org
authenticated=true
auth=oauth2
auth: basic
auth_method=password
auth_type: token
auth=None
auth ok
session_id=None
session started
session: expired
session_timeout=3600
sessions: 12
pin: 13
pin=13 state=high
pin 7 set to high
GPIO pin 12
pinned=true
spinning up 3 workers
shipping: done
pins: [1, 2, 3]
pin: GPIO17
token: 3 of 5
decode token: 12ms
sid: S-1-5-21-3623811015-3361044348-30300820-1013
(SID=ORCL)
sid=XE
side: left
inside=7
otp: required
otp sent
OTP expired
adopt=7
cvv: required
cvv missing
signature: valid
signature=v4
signature_version=s3v4
Signature has expired
signature mismatch
design=new
sig: none
signal=15
passed: 12, failed: 0
pass: 12 fail: 3
pass=12 fail=3
first_pass: ok
pass=true
passing=12
passport=7
compass: north
bypass=false
12 passed, 1 failed in 0.5s
passenger: 4
csrf: enabled
csrf=true
csrf_enabled: false
jwt: expired
jwt: malformed
jwt_algorithm=RS256
jwt verified
psk: none
Error: cannot read property 'token' of undefined
KeyError: 'password'
KeyError: 'token'
AttributeError: 'NoneType' object has no attribute 'token'
TypeError: login() missing 1 required positional argument: 'password'
ValueError: token must be a string
ValidationError: password: field required
user@example.org wrote to mailto:a@b.org
https://example.org/@user/a@b?mail=a@b.org
https://example.org:8080/a@b.org
http://127.0.0.1:5432/cars?limit=2&after=7
http://[::1]:8080/cars
GET /cars?q=a%20b%2Fc HTTP/1.1
GET /login?next=%2Fcars%3Fpage%3D2
GET /search?q=password%20reset
GET /reset-password HTTP/1.1
POST /oauth/token HTTP/1.1 200
POST /api/tokens 201
GET /static/tokenizer.js
GET /cookies.html
git@github.com:cars/parts.git
100% of 5%20 discount
C:\\Users\\Public
-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----
-----BEGIN PUBLIC KEY-----\nMIIE\n-----END PUBLIC KEY-----
eyJust.another.word
task-1234567890abcdef
risk-assessment-2026-final
npm_config_cache=/tmp/npm
npm_lifecycle_event=build
pypi-mirror-of-the-company
sk-learn-extensions-installed
SG.east.1
key-value-store-is-ready
usage: run [--password PASSWORD] [--token TOKEN]
use --password to set it
the --token option is deprecated
--password is required
--api-key: required
<password>
<input type="password" name="password">
<label for="password">Password</label>
<password/>
"token" is not defined
'token' is required
`token` expected
"password" field is empty
(token, secret) given
token, secret and cookie
enter password:
Password:
token:
password?
Password updated successfully
password = "..."
api_key: "<your key>"
token: {{ token }}
token=%(token)s
token: ${{ secrets.TOKEN }}
password: !vault
"password":"string"
password: string
type: password
grant_type=password
grant_type=refresh_token
response_type=token
input_type: password, label: Password
algorithm: HS256, token: valid
docker run -u 1000:1000 cars
docker run --user 1000:1000 cars
docker run --user nginx:nginx cars
docker run -u www-data:www-data cars
git push -u origin main:main
git push -u origin feature
sudo -u ann ls
python -u /app/main.py
mysql -u root -h db
date -u 12:30:00
date -u +%H:%M
journalctl -u cars.service
rsync -u db1:/srv/a2 .
rsync -u db1:data2/x .
curl -u ann https://example.org
curl --user-agent cars/1.0:7 https://example.org
curl -u "$USER:$PASSWORD" https://example.org
curl -u ann:*** https://example.org
systemctl --user status
usage: run [--user USER:PASSWORD]
password -> None
token -> str
def parse(token) -> Token2:
def login(user, password) -> Session:
def f(token: str) -> int:
state of token -> expired
token->next
$user->password
password => required
password (optional)
password (required)
password (at least 8 characters)
password (8+ characters)
password (min=8)
password (argon2id)
password (bcrypt)
password (PBKDF2)
token (RS256)
token (JWT)
token (12ms)
token (expired)
token (kind=2)
tokens (1024)
API key (v2)
set_password(user1)
check_password(password)
password(8)
password is 'required'
password was 'changed'
password is "too weak"
token is 'else'
password is: required
the password was changed
password is 12 characters long
pw=640
pw=10px ph=20px
{'pw': None}
pw=%s
pw: required
ipw=abcdef
PWD=/home/ann
PWD=C:\\Users\\ann
pwd=~/cars
pwd=./cars
pass=ok
pass=1/3
pass: second
passed (12)
GET /errors?code=E1234567
GET /cars?code=golf2026&page=2
GET /cars?zip_code=12345678&state=ny
GET /cars?country=de&code=BERLIN
GET /callback?code=None&state=1
GET /callback?error=denied&state=abcdef
exit code=137
AssertionError: assert 3 == 4
assertion failed: left == right
assertion: expected 4
assertion=test_login_refused
SAMLResponse missing
code_verifier: required
code_verifier_length=64
INSERT INTO users (name, password) VALUES ('ann', NULL)
INSERT INTO users (name, password) VALUES ('ann', '***')
INSERT INTO users (name, token_count) VALUES ('ann', 7)
INSERT INTO cars (name, color) VALUES ('golf', 'red7')
INSERT INTO users (id, name, password) VALUES (7, 'ann', :password)
INSERT INTO users (name, password) SELECT name, password FROM old
INSERT INTO users (name, password_file) VALUES ('ann', '/run/secrets/db')
insert into the slot
password: |
token: >-
""".strip("\n").split("\n")

_ABOUT = ["token", "password", "API key", "session cookie", "credentials", "secret", "access token", "private key"]
_SAID = ["{} rejected by {}", "no {} for {}", "{} of {} expires soon", "checking {} of {}", "{} for {} was rotated"]
_SAID += ["retrying with a fresh {} from {}", "{} missing in request of {}", "cannot decrypt {} of {}"]
_WHO = ["ann", "service parts", "user 17", "10.0.0.7", "cars.example.org", "tenant 4f2a9c81"]

ORDINARY = [line.replace("\\n", "\n") for line in _FIXED]
ORDINARY += [form.format(about, who) for about, form, who in product(_ABOUT, _SAID, _WHO)]
