"""The back end of a small auction: it serves the page, signs tokens, answers hooks and calls, and publishes. No packages."""
import base64, hashlib, hmac, json, os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from urllib.parse import parse_qs, quote, urlsplit
from urllib.request import Request, urlopen

ROOMCAST = os.environ["ROOMCAST_URL"]
HOOK_KEY = base64.b64decode(os.environ["HOOK_SECRET"].removeprefix("whsec_"))
PAGE = Path(__file__).with_name("index.html")
MAX_BODY = 128 * 1024
best = {"bid": 0, "user": None}
bidding = Lock()


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(user: str) -> str:
    """A token that may read the auction, and say nothing: bids are calls."""
    claims = {"sub": user, "exp": int(time.time()) + 3600, "can": {"join": ["auction.*"]}}
    text = ".".join(base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return f"{text}.{base64url(hmac.new(os.environ['JWT_SECRET'].encode(), text.encode(), hashlib.sha256).digest())}"


def publish(room: str, content) -> None:
    request = Request(f"{ROOMCAST}/api/v1/rooms/{quote(room, safe='')}/messages", json.dumps({"content": content}).encode())
    request.add_header("authorization", f"Bearer {os.environ['API_SECRET']}")
    request.add_header("content-type", "application/json")
    urlopen(request, timeout=2).close()


def answer(asked):
    """What a hook or a call is answered."""
    if asked["hook"] == "join":
        return {} if asked["room"] == "auction.lamp" else {"refuse": "there is no such auction"}
    if asked["hook"] == "call":
        return bid(asked) if asked["method"] == "bid" else {"error": "unknown_method"}
    return {}


def bid(asked):
    params = asked.get("params")
    amount = params.get("amount") if isinstance(params, dict) else None
    if type(amount) is not int:
        return {"refuse": "a bid is a whole number"}
    # Published inside, so that bids are told in their order.
    with bidding:
        if amount <= best["bid"]:
            return {"refuse": f"bid more than {best['bid']}"}
        best.update(bid=amount, user=asked["user"])
        publish("auction.lamp", best)
    return {"result": best}


def is_signed(headers, body: bytes) -> bool:
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    right = "v1," + base64.b64encode(hmac.new(HOOK_KEY, signed, hashlib.sha256).digest()).decode()
    is_new = abs(time.time() - int(headers["webhook-timestamp"])) < 300
    return is_new and any(hmac.compare_digest(right, one) for one in headers["webhook-signature"].split())


class BackEnd(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/":
            return self.send(200, "text/html", PAGE.read_text().replace("%ROOMCAST%", ROOMCAST))
        # Yours asks who is logged in.
        user = parse_qs(url.query).get("user", [""])[0]
        if url.path == "/token" and user:
            return self.send(200, "text/plain", token(user))
        self.send(404)

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        if length > MAX_BODY:
            self.close_connection = True
            return self.send(413)
        body = self.rfile.read(length)
        if "webhook-signature" not in self.headers or not is_signed(self.headers, body):
            return self.send(401)
        self.send(200, "application/json", json.dumps(answer(json.loads(body))))

    def send(self, status: int, kind: str = "text/plain", text: str = ""):
        data = text.encode()
        self.send_response(status)
        self.send_header("content-type", f"{kind}; charset=utf-8")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Errors alone are worth a line, and Python prints those itself."""


port = int(os.environ["PORT"])
server = ThreadingHTTPServer(("127.0.0.1", port), BackEnd)
print(f"Open http://127.0.0.1:{port}/?user=ada and ?user=bob", flush=True)
server.serve_forever()
