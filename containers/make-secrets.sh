#!/bin/sh
# Make what compose.yaml wants to be kept secret: passwords, and a certificate that browsers will not trust.
#
#   make-secrets.sh FOLDER [NAME]    NAME is the public name of the service, for the certificate
#
# Files that are there already are kept: put the certificate of your own as tls.crt and tls.key.
# The folder is for its owner alone; the files in it can be read by whom they are handed to in a container.
set -eu
umask 077

case "${1-}" in
    '' | -*)
        sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
folder=$1
name=${2:-localhost}
template=$(dirname "$0")/redis-users.acl

mkdir -p "$folder"
chmod 700 "$folder"
folder=$(cd "$folder" && pwd)

# Letters and digits only: it stands in URLs.
password() {
    if [ ! -e "$folder/$1" ]; then
        head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$folder/$1"
    fi
    cat "$folder/$1"
}

postgres=$(password postgres-password)
redis=$(password redis-password)
links=$(password links-secret)
if [ ! -e "$folder/redis-users.acl" ]; then
    hash=$(printf %s "$redis" | sha256sum | cut -d ' ' -f 1)
    # Redis takes no comments in this file.
    sed -e '/^#/d' -e '/^$/d' -e "s/PASSWORD_SHA256/$hash/" "$template" >"$folder/redis-users.acl"
fi
if [ ! -e "$folder/settings.toml" ]; then
    cat >"$folder/settings.toml" <<EOF
# Settings that hold passwords. Others may stand here too; config/default.toml tells of them.
[data]
database_url = "postgresql://fountain:$postgres@postgres:5432/fountain"

[jobs]
redis_url = "redis://fountain:$redis@redis:6379/0"

[accounts]
secret = "$links"
EOF
fi
if [ ! -e "$folder/tls.crt" ] && [ ! -e "$folder/tls.key" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 \
        -subj "/CN=$name" -addext "subjectAltName=DNS:$name" \
        -keyout "$folder/tls.key" -out "$folder/tls.crt" 2>/dev/null
    echo "tls.crt is self-signed: replace it and tls.key by those of $name" >&2
fi
chmod 444 "$folder"/*
