#!/bin/sh
# Brings .env to what .env.example lists, and writes each secret of it to a file below secrets/.
#
# The folder is for its owner alone; the files in it can be read by everybody who gets there, which are the containers
# that mount them and whose users are others. A file keeps its inode, so that a restart is enough to read it again.
# Prints the names of the secrets that changed.
set -eu
umask 077

secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

while IFS= read -r line; do
  name=${line%%=*}
  case $line in
    '#'* | '') continue ;;
  esac
  grep -q "^$name=" .env && continue
  case $line in
    ELASTICSEARCH_API_KEY=) ;;
    *_PASSWORD= | *_KEY=) line="$line$(secret)" ;;
  esac
  printf '%s\n' "$line" >> .env
done < .env.example

mkdir -p secrets
sed -n -E 's/^([A-Z_]+_(PASSWORD|KEY|TOKEN))=(.*)$/\1 \3/p' .env | while IFS= read -r pair; do
  name=${pair%% *} value=${pair#* }
  case $value in
    \"*\" | \'*\') value=${value#?} value=${value%?} ;;
  esac
  file=secrets/$(printf '%s' "$name" | tr '[:upper:]' '[:lower:]')
  if [ ! -f "$file" ] || [ "$(cat "$file")" != "$value" ]; then
    printf '%s' "$value" > "$file"
    echo "$name"
  fi
  chmod 644 "$file"
done
