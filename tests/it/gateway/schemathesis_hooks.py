"""What the document cannot say of requests: CloudEvents in binary mode have all of their headers, and gzip is gzip.

Requests are mended as they are sent: a test case that a hook has changed is no longer the one that is judged.
"""
import gzip

import schemathesis

ATTRIBUTES = ("ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time")


@schemathesis.hook
def before_call(context, case, kwargs):
    # The one place where requests lets a prepared request be changed.
    kwargs["auth"] = mend


def mend(request):
    body = request.body or b""
    body = body.encode() if isinstance(body, str) else body
    is_data = request.headers.get("Content-Type") == "application/json" and body.lstrip().startswith(b"{")
    if not (is_data and all(name in request.headers for name in ATTRIBUTES)):
        for name in ATTRIBUTES:
            request.headers.pop(name, None)
    if request.headers.get("Content-Encoding") == "gzip":
        request.body = gzip.compress(body)
        request.headers["Content-Length"] = str(len(request.body))
    return request
