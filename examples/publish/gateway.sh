#!/bin/sh
# Publishes a booking with curl through the gateway, once however often it is sent.
#
#   VALERA_GATEWAY_URL=http://127.0.0.1:8080 VALERA_GATEWAY_TOKEN=… ./gateway.sh CHAT_ID BOOKING_ID [OCCURRED_AT]
set -eu

chat_id=$1 booking_id=$2 occurred_at=${3:-$(date -u +%Y-%m-%dT%H:%M:%S.%6NZ)}

# A UUIDv7 (RFC 9562) of the moment at which the event occurred: what the event is known by for ever.
mint() {
    time=$(printf %012x "$(date -d "$1" +%s%3N)")
    random=$(od -An -N9 -tx1 /dev/urandom | tr -d ' \n')
    printf '%s-%s-7%.3s-8%.3s-%.12s' "${time%????}" "${time#????????}" "$random" "${random#???}" "${random#??????}"
}

body=$(printf '{"event_id":"%s","event_name":"booking_request_created","chat_id":%d,"occurred_at":"%s","properties":%s}' \
    "$(mint "$occurred_at")" "$chat_id" "$occurred_at" \
    "$(printf '{"booking_id":%d,"services_count":2,"estimated_total":"27500.00"}' "$booking_id")")

# 202 means kept: on the stream's disk, or on the gateway's. Anything else, a timeout above all, means that the event is still
# yours: curl sends it again as it was, after what Retry-After says. The token comes by standard input, since others see
# arguments.
publish() {
    printf 'Authorization: Bearer %s\n' "$VALERA_GATEWAY_TOKEN" |
        curl --silent --show-error --fail-with-body --max-time 20 --retry 5 --retry-connrefused \
            --header @- --header 'Content-Type: application/json' --data "$body" "$VALERA_GATEWAY_URL/v1/events"
    echo
}

publish
# This stands for a retry after an answer that was lost.
publish
