package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"pgp.internal/defender/api"
)

// answer writes v as JSON. The whole body is made first, so that an error can still become a problem document.
func answer(w http.ResponseWriter, status int, v any) error {
	body, err := encode(v)
	if err != nil {
		return err
	}
	send(w, status, body)
	return nil
}

// answerTagged writes v as JSON under a tag of its own, or 304 to those who have it already.
func answerTagged(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := encode(v)
	if err != nil {
		return err
	}
	sendUnlessKnown(w, r, weakTag(body), body)
	return nil
}

func sendUnlessKnown(w http.ResponseWriter, r *http.Request, tag string, body []byte) {
	w.Header().Set("ETag", tag)
	if noneMatch(r, tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	send(w, http.StatusOK, body)
}

func send(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body))) // what is compressed loses it
	w.WriteHeader(status)
	_, _ = w.Write(body) // #nosec G705 -- JSON, with nosniff; who no longer listens needs no answer
}

// appender is what writes itself as encode would write it, but faster.
type appender interface {
	AppendJSON([]byte) ([]byte, error)
}

// encode writes JSON with a line feed behind it. Answers are never read as HTML (nosniff), so "&" and "<" stay legible.
func encode(v any) ([]byte, error) {
	if fast, ok := v.(appender); ok {
		body, err := fast.AppendJSON(nil)
		return append(body, '\n'), err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}

// page converts the items of a page; the list is never null.
func page[D, W any](items []D, next string, convert func(*D) W) api.Page[W] {
	return api.Page[W]{Items: each(items, convert), NextCursor: next}
}

// each converts a list; the result is never nil, because lists on the wire are always present.
func each[D, W any](items []D, convert func(*D) W) []W {
	out := make([]W, len(items))
	for i := range items {
		out[i] = convert(&items[i])
	}
	return out
}

// orZero is the value of an optional member, or the zero value when it was left out.
func orZero[T any](value *T) T {
	if value == nil {
		var zero T
		return zero
	}
	return *value
}

// listed is the list itself, never null.
func listed[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}
