package httpapi

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"

	"pgp.internal/defender/internal/repeat"
	"pgp.internal/defender/internal/seal"
)

// answerSeal seals what is kept of the answer to one request. Its key takes the service's own and the Idempotency-Key, so that a copy
// of the database gives nothing away even to those who have the keyring.
type answerSeal struct {
	key     seal.DataKey
	binding string
	err     error
}

func (s *server) answerSeal(key string, a *repeat.Attempt) answerSeal {
	mac := hmac.New(sha256.New, s.CursorKey)
	mac.Write([]byte("answer to a request\x00" + key)) // documented never to fail; no cursor begins like that
	made, err := seal.NewDataKey(1, seal.NewSecret(string(mac.Sum(nil))))
	return answerSeal{made, "answer:" + strconv.Itoa(int(a.Tenant)) + ":" + hex.EncodeToString(a.Name[:]), err}
}

func (s answerSeal) close(text string) (seal.Box, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.key.Seal(seal.NewSecret(text), s.binding)
}

func (s answerSeal) open(box seal.Box) (string, error) {
	if s.err != nil {
		return "", s.err
	}
	text, err := s.key.Open(box, s.binding)
	return text.Reveal(), err
}

// heldAnswer is an answer that is complete before anything of it is sent.
type heldAnswer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader implements http.ResponseWriter.
func (h *heldAnswer) WriteHeader(status int) { h.status = status }

// Write implements http.ResponseWriter.
func (h *heldAnswer) Write(p []byte) (int, error) { return h.body.Write(p) }

func (h *heldAnswer) send() {
	h.ResponseWriter.WriteHeader(h.status)
	_, _ = h.ResponseWriter.Write(h.body.Bytes()) // who no longer listens needs no answer
}

// keptAnswer is an answer as it is stored, before it is sealed.
type keptAnswer struct {
	Status int               `json:"status"`
	Header map[string]string `json:"header"`
	Body   string            `json:"body"`
}

// ofTheAnswer are the headers that belong to what is answered; all others are about the single exchange.
var ofTheAnswer = []string{"Content-Type", "Location", "Retry-After", "ETag"}

func (h *heldAnswer) kept() string {
	k := keptAnswer{Status: h.status, Header: map[string]string{}, Body: h.body.String()}
	for _, name := range ofTheAnswer {
		if value := h.Header().Get(name); value != "" {
			k.Header[name] = value
		}
	}
	text, err := json.Marshal(k)
	if err != nil { // only strings and a number are in it
		panic(err)
	}
	return string(text)
}

func sendKept(w http.ResponseWriter, text string) error {
	var k keptAnswer
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		return err
	}
	for name, value := range k.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(k.Status)
	_, _ = w.Write([]byte(k.Body)) // who no longer listens needs no answer
	return nil
}
