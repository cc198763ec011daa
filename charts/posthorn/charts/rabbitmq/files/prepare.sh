#!/bin/bash
# Runs before the broker, in its image: lays out in memory what the broker must own, or reads from files only.
set -euo pipefail
umask 077

fail() {
  echo "prepare: $1" >&2
  exit 1
}

mkdir -p /private/home /private/etc/conf.d
cd /private

cookie=$(</secret/erlang-cookie)
[[ $cookie =~ ^[[:graph:]]{20,255}$ ]] || fail "erlang-cookie must be 20 to 255 characters without spaces"
# Erlang refuses a cookie that others may read, and a Secret's files have the group's bits set.
printf %s "$cookie" >home/.erlang.cookie.new
chmod 400 home/.erlang.cookie.new
mv -f home/.erlang.cookie.new home/.erlang.cookie

cp /chart/enabled_plugins etc/enabled_plugins
cp /chart/*.conf etc/conf.d/
for key in username password; do
  value=$(<"/secret/$key")
  # In single quotes, where # begins no comment; nothing can stand for a quote, and $(NAME) is always a variable.
  [[ $value =~ ^[[:print:]]+$ && $value != *"'"* && $value != *'$('* ]] ||
    fail "$key must be printable characters, without ' and without \$("
  printf "default_%s = '%s'\n" "$([[ $key == username ]] && echo user || echo pass)" "$value"
done >etc/conf.d/11-default-user.conf
