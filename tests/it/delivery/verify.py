"""Verifies webhooks as a receiver would: Standard Webhooks, from its text, with the standard library.

verify.py SECRET REQUESTS: a JSON list of {headers, body}
"""

import base64
import hmac
import json
import sys
import time

secret = base64.b64decode(sys.argv[1].removeprefix("whsec_"))
requests = json.loads(sys.argv[2])
for request in requests:
    headers = request["headers"]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{request['body']}".encode()
    expected = base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    version, signature = headers["webhook-signature"].split(",")
    assert version == "v1" and hmac.compare_digest(signature, expected), headers
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 300, headers
print(f"{len(requests)} verified")
