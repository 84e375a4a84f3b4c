package httpapi

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/repeat"
	"pgp.internal/defender/internal/seal"
)

// RepeatStore remembers requests with an Idempotency-Key. What a request changes the stores keep beside the change, by the
// context of [repeat.With].
type RepeatStore interface {
	// BeginRequest takes a name for the attempt, or gives what an earlier one has left.
	BeginRequest(ctx context.Context, a *repeat.Attempt) (m repeat.Memory, mine bool, err error)
	// KeepAnswer keeps the answer if the attempt has changed something, and tells whether it has.
	KeepAnswer(ctx context.Context, a *repeat.Attempt, answer []byte) (kept bool, err error)
	// GiveUpRequest gives the name back if the attempt has changed nothing.
	GiveUpRequest(ctx context.Context, a *repeat.Attempt) error
}

// Bounds of a request with an Idempotency-Key.
const (
	maxIdempotencyKey = 255
	// giveUpWithin is how long giving a name back may take; else [GiveBack] goes on with it.
	giveUpWithin = time.Second
	// giveUpBy is how long after its beginning a request that the database may have held still tries, and giveUpSoon for how long in
	// any case: however long the database held it, both together stay below 5 seconds.
	giveUpBy   = 4900 * time.Millisecond
	giveUpSoon = 300 * time.Millisecond
	// attemptMargin is what an attempt has beyond its budget: a commit under way may still come through.
	attemptMargin = 10 * time.Second
	// repeatSoon is when the answer to a request that is being carried out may be there.
	repeatSoon = time.Second
)

// again answers a request as it was answered before, from what it made: for when its answer was not kept.
type again func(w http.ResponseWriter, r *http.Request, made string, keepsake func() (string, error)) error

// once carries out a request with an Idempotency-Key at most one time and answers its repetitions as it did then
// (draft-ietf-httpapi-idempotency-key-header). What changed nothing, such as a refusal, is not remembered.
func (s *server) once(w http.ResponseWriter, r *http.Request, e endpoint) error {
	if e.again == nil || len(r.Header.Values("Idempotency-Key")) == 0 {
		return e.handle(w, r)
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	a := s.attempt(r, key, body, e.budget)
	found, mine, err := s.Repeats.BeginRequest(r.Context(), a)
	switch {
	case err != nil:
		return err
	case mine:
		return s.first(w, r, e, a)
	case found.Request != a.Request:
		return fault.New(fault.CodeIdempotencyReused, "")
	case !found.Done():
		return inProgress(found.HeldFor)
	}
	return s.repeated(w, r, e, found)
}

// inProgress says how long the key is taken at most. Whose time for an answer is over was broken off: its repetition is for then.
func inProgress(held time.Duration) error {
	f := fault.Newf(fault.CodeIdempotencyInProgress, "a request with the same Idempotency-Key has not been answered yet, or was broken off; the key is free in %d seconds at the latest",
		wholeSeconds(max(held, repeatSoon)))
	f.RetryAfter = repeatSoon
	if held < attemptMargin {
		f.RetryAfter = max(held, repeatSoon)
	}
	return f
}

func idempotencyKey(r *http.Request) (string, error) {
	values := r.Header.Values("Idempotency-Key")
	if key := values[0]; len(values) == 1 && key != "" && len(key) <= maxIdempotencyKey && plainText(key) {
		return key, nil
	}
	return "", invalid(parameter("Idempotency-Key", "invalid_format", "Must be one value of 1 to 255 printable ASCII characters without spaces"))
}

// attempt names the request by the credential and its key, and what is asked by everything that decides what comes of it.
func (s *server) attempt(r *http.Request, key string, body []byte, budget time.Duration) *repeat.Attempt {
	x := exchangeOf(r.Context())
	who := actor(&x.principal)
	a := &repeat.Attempt{
		Tenant: x.principal.Tenant, Holder: uuid.New(), Within: budget + attemptMargin,
		Name: sha256.Sum256([]byte(string(who.Kind) + "\x00" + who.ID + "\x00" + key)),
	}
	// Keyed, because the body may hold a client secret, and by nothing that is stored or ever changes.
	mac := hmac.New(sha256.New, []byte(key))
	for _, part := range []string{r.Method, r.URL.EscapedPath(), r.URL.Query().Encode(), string(canonical(body))} {
		mac.Write([]byte(part + "\x00")) // documented never to fail
	}
	mac.Sum(a.Request[:0])
	x.seal = s.answerSeal(key, a)
	return a
}

// canonical is a body as RFC 8785 writes it, so that white space and order make no difference; itself if it is no JSON.
func canonical(body []byte) []byte {
	v := jsontext.Value(bytes.Clone(body))
	if v.Canonicalize() != nil {
		return body
	}
	return v
}

// first carries out the request, and answers only when the answer is kept.
func (s *server) first(w http.ResponseWriter, r *http.Request, e endpoint, a *repeat.Attempt) error {
	kept, within := false, giveUpWithin
	defer func() { // also when the handler panics
		if !kept {
			s.giveUp(r, a, within)
		}
	}()
	held := &heldAnswer{ResponseWriter: w}
	if err := e.handle(held, r.WithContext(repeat.With(r.Context(), a))); err != nil {
		within = timeToGiveUp(r, err)
		return err
	}
	var err error
	if kept, err = s.keepAnswer(r, a, held); err != nil {
		within = timeToGiveUp(r, err)
		s.Log.WarnContext(r.Context(), "the answer to a request with an Idempotency-Key was not kept",
			slog.String("request_id", exchangeOf(r.Context()).id), slog.String("error", err.Error()))
	}
	held.send()
	return nil
}

// keepAnswer tells whether the answer is kept. Where it cannot be, the change stands, and a repetition is answered by what it made.
func (s *server) keepAnswer(r *http.Request, a *repeat.Attempt, held *heldAnswer) (kept bool, err error) {
	box, err := exchangeOf(r.Context()).seal.close(held.kept())
	if err != nil {
		return false, err
	}
	return s.Repeats.KeepAnswer(r.Context(), a, box)
}

// timeToGiveUp is how long giving a name back may take after a request that failed.
func timeToGiveUp(r *http.Request, err error) time.Duration {
	if faultOf(err).Code != fault.CodeUnavailable {
		return giveUpWithin
	}
	left := giveUpBy - time.Since(exchangeOf(r.Context()).started)
	return min(max(left, giveUpSoon), giveUpWithin)
}

// giveUp lets the request be tried again at once, also when the caller has gone.
func (s *server) giveUp(r *http.Request, a *repeat.Attempt, within time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), within)
	defer cancel()
	if err := s.Repeats.GiveUpRequest(ctx, a); err != nil {
		s.Log.WarnContext(ctx, "the key of a request with an Idempotency-Key was not given back at once",
			slog.String("request_id", exchangeOf(ctx).id), slog.String("error", err.Error()))
	}
}

// repeated answers as before: by the answer that was kept, or else by what was made.
func (s *server) repeated(w http.ResponseWriter, r *http.Request, e endpoint, m repeat.Memory) error {
	seal := exchangeOf(r.Context()).seal
	w.Header().Set(replayed, "true")
	if len(m.Answer) > 0 {
		text, err := seal.open(m.Answer)
		if err == nil {
			return sendKept(w, text)
		}
		s.Log.WarnContext(r.Context(), "a kept answer cannot be read; its object is shown as it is now",
			slog.String("request_id", exchangeOf(r.Context()).id), slog.String("error", err.Error()))
	}
	err := e.again(w, r, m.Made, func() (string, error) { return seal.open(m.Keepsake) })
	if fault.Is(err, fault.CodeConflict) {
		s.Log.WarnContext(r.Context(), "what a request with an Idempotency-Key made cannot be shown any more",
			slog.String("request_id", exchangeOf(r.Context()).id), slog.String("error", err.Error()))
	}
	return err
}

// replayed is the header that tells an answer to a repetition.
const replayed = "Idempotent-Replayed"

// keepsake keeps with the change what only its answer shows; without an Idempotency-Key there is nothing to do.
func keepsake(r *http.Request, secret seal.Secret) error {
	a := repeat.Of(r.Context())
	if a == nil {
		return nil
	}
	box, err := exchangeOf(r.Context()).seal.close(secret.Reveal())
	a.Keepsake = box
	return err
}

// madeID reads the id of what a request made. What is none was written past the service.
func madeID(prefix, made string) (uuid.UUID, error) {
	id, ok := parseID(prefix, made)
	if !ok {
		f := fault.New(fault.CodeConflict, "what was kept of the request does not tell any more what it made")
		f.Remedy = "Look whether that is there; if not, send the request with another key."
		return uuid.Nil, f
	}
	return id, nil
}
