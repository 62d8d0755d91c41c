#!/bin/sh
# The stand-in's part of what the Elasticsearch image does: a node of the server's jars, on port 9200.
set -eu
home=/usr/share/elasticsearch
rm -f "$home/port"  # of the run before
pipe=$(mktemp -u)
mkfifo "$pipe"
exec jdk/bin/java -Xms512m -Xmx768m "-Dtest.password=$ELASTIC_PASSWORD" -Dtest.port=9200 "-Des.path.home=$home" \
  --enable-native-access=ALL-UNNAMED -cp "$home/start:$home/lib/*" StartElasticsearch "$home" <> "$pipe"  # it ends with its input
