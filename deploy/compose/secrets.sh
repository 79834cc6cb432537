#!/usr/bin/env bash
# Makes what compose.yaml wants below secrets/: random keys and passwords, and a certificate for localhost to try it with. What is there stays.
# The directory is for nobody else on this machine; the files in it are readable, because several users in containers read them. The master key
# is for stint's user alone, which needs root (sudo) once.
set -euo pipefail
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
random() { openssl rand -hex 32; }
[ -e secrets/master.key ] || openssl rand -base64 32 >secrets/master.key
[ -e secrets/database.password ] || random >secrets/database.password
if [ ! -e secrets/redis.password ]; then
	random >secrets/redis.password
	hash=$(tr -d '\n' <secrets/redis.password | openssl dgst -sha256 -r | cut -d' ' -f1)
	# stint reads and writes its own keys, runs scripts, and reads and writes streams.
	printf 'user default off\nuser stint on #%s ~stint:* resetchannels +@read +@write +@connection -@dangerous +eval +info +time\n' "$hash" >secrets/redis.users
fi
if [ ! -e secrets/tls.pem ]; then
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
		-keyout secrets/tls.key -out secrets/tls.crt 2>/dev/null
	cat secrets/tls.crt secrets/tls.key >secrets/tls.pem
	rm secrets/tls.key
fi
find secrets -type f ! -name master.key -exec chmod 644 {} +
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
"${as_root[@]}" chown 65532:65532 secrets/master.key
"${as_root[@]}" chmod 400 secrets/master.key
echo "secrets/ is there. Keep a copy of secrets/master.key elsewhere." >&2
