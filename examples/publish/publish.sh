#!/bin/sh
# Publishes a booking with the nats CLI, once however often it is sent.
#
#   go install github.com/nats-io/natscli/nats@v0.5.0
#   NATS_URL=nats://127.0.0.1:4222 ./publish.sh CHAT_ID BOOKING_ID [OCCURRED_AT]
#
# It mints no UUIDv7: the booking has a number, so that is the Nats-Msg-Id, with a prefix, since one must be unique over all
# events, and with occurred_at, which the event's id is then derived from.
set -eu

chat_id=$1 booking_id=$2 occurred_at=${3:-$(date -u +%Y-%m-%dT%H:%M:%SZ)}
body=$(printf '{"event_name":"booking_request_created","chat_id":%d,"occurred_at":"%s","properties":%s}' \
    "$chat_id" "$occurred_at" \
    "$(printf '{"booking_id":%d,"services_count":2,"estimated_total":"27500.00"}' "$booking_id")")

# --jetstream waits for the PubAck and fails without one; --no-templates leaves "{{" alone.
publish() {
    "${NATS_CLI:-nats}" --inbox-prefix "${NATS_INBOX_PREFIX:-_INBOX}" pub --no-templates --jetstream \
        --header "Nats-Msg-Id:booking/$booking_id" --header "Nats-Expected-Stream:ANALYTICS" \
        analytics.booking_request_created "$body"
}

attempt=1
until publish; do
    if [ "$attempt" -ge 6 ]; then exit 1; fi # keep the event and send it later, under the same Nats-Msg-Id
    sleep "$attempt"
    attempt=$((attempt + 1))
done
# This stands for a retry after an answer that was lost.
publish
