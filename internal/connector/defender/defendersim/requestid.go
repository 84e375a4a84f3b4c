package defendersim

import (
	"net/http"
	"strings"
)

// requestIDHeader is what the API names a request by in its answers; Entra ID and the storage service have theirs with a prefix.
const requestIDHeader = "request-id"

// clientRequestID is the id that the client gave a request.
func clientRequestID(r *http.Request, rt route) string {
	if rt.name == "blob" {
		return r.Header.Get("x-ms-client-request-id")
	}
	return r.Header.Get("client-request-id")
}

// identify puts an id of the request's own into the answer, and the client's where it asks for it back. The storage service
// gives the client's back without being asked.
func identify(h http.Header, r *http.Request, rt route) {
	given := clientRequestID(r, rt)
	switch {
	case rt.name == "blob":
		h.Set("x-ms-request-id", NewGUID())
		if given != "" {
			h.Set("x-ms-client-request-id", given)
		}
		return
	case rt.entra():
		h.Set("x-ms-request-id", NewGUID())
	default:
		h.Set(requestIDHeader, NewGUID())
	}
	if given != "" && strings.EqualFold(r.Header.Get("return-client-request-id"), "true") {
		h.Set("client-request-id", given)
	}
}
