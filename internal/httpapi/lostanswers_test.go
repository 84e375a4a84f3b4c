package httpapi_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/repeat"
	"pgp.internal/defender/internal/tenant"
)

// forgetful does not come to keeping answers or to giving names back, as a process that is killed.
type forgetful struct{ httpapi.RepeatStore }

func (forgetful) KeepAnswer(context.Context, *repeat.Attempt, []byte) (bool, error) {
	return false, errors.New("killed")
}

func (forgetful) GiveUpRequest(context.Context, *repeat.Attempt) error { return errors.New("killed") }

// TestAnAnswerThatWasLostIsMadeUp ends each request between its change and its answer.
func TestAnAnswerThatWasLostIsMadeUp(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	var die atomic.Bool
	h := newHouse(t, m.into, func(d *httpapi.Deps) {
		d.Repeats = forgetful{d.Repeats}
		d.Wake = func() {
			if die.Load() {
				panic(http.ErrAbortHandler)
			}
		}
	})
	for id, c := range h.creations(m.token(tenant.Platform)) {
		before := h.number(c.count)
		r := h.keyed(c.raw, id)
		die.Store(true)
		lost, err := ask(h, r)
		die.Store(false)
		if told := id == "createAPIKey" || id == "createTenant"; told != (err == nil) { // the others cut the connection
			t.Errorf("%s: %v", id, err)
		}
		got := h.send(r)
		if got.status/100 != 2 || got.header.Get("Location") == "" || got.header.Get("Idempotent-Replayed") != "true" || lost.body != "" && got.body != lost.body {
			t.Errorf("%s: %d %v %s, lost %s", id, got.status, got.header, got.body, lost.body)
		}
		if made := h.number(c.count) - before; made != 1 {
			t.Errorf("%s made %d objects", id, made)
		}
	}
}

// ask is [house.send] for requests that may come to nothing. On a connection of its own: net/http repeats by itself what has an
// Idempotency-Key and met a kept connection that was cut.
func ask(h *house, r raw) (answered, error) {
	req, err := http.NewRequest(r.method, h.url+r.path, strings.NewReader(r.body))
	must(h.t, err)
	req.Header.Set("Authorization", "Bearer "+r.key)
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	req.Close = true
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return answered{}, err
	}
	return read(resp)
}

// TestADeadAttemptGivesWay leaves a request behind that changed nothing and is not being carried out any more.
func TestADeadAttemptGivesWay(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(d *httpapi.Deps) { d.Repeats = forgetful{d.Repeats} })
	r := h.keyed(raw{method: http.MethodPost, path: "/v1/integrations", key: h.mine.keys[tenant.Admin], body: bodies["connectIntegration"]}, "dead")
	h.cloud.fails(fault.CodeCredentialsInvalid)
	if got := h.send(r); got.status != http.StatusUnprocessableEntity {
		t.Fatalf("%d %s", got.status, got.body)
	}
	h.cloud.answers(nil)
	if got := h.send(r); got.status != http.StatusConflict || got.problem(t).Code != api.CodeIdempotencyInProgress || got.header.Get("Retry-After") == "" {
		t.Errorf("in its time: %d %s", got.status, got.body)
	}
	h.exec(`update idempotency set held_until = now() - interval '1 second'`)
	if got := h.send(r); got.status != http.StatusCreated {
		t.Errorf("after its time: %d %s", got.status, got.body)
	}
}

// TestWhatWasMadeMayNotBeToldAnyMore writes, past the service, what no request made, beside an answer that is lost.
func TestWhatWasMadeMayNotBeToldAnyMore(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	h := newHouse(t, m.into)
	for id, c := range h.creations(m.token(tenant.Platform)) {
		r := h.keyed(c.raw, id)
		if got := h.send(r); got.status/100 != 2 {
			t.Fatalf("%s: %d %s", id, got.status, got.body)
		}
		for _, made := range []string{"garbage", "int_", "tnt_0", "run_00000000-0000-0000-0000-000000000001"} {
			h.exec(`update idempotency set answer = null, made = '` + made + `'`)
			got := h.send(r)
			if p := got.problem(t); got.status != http.StatusConflict || p.Code != api.CodeConflict || got.header.Get("Idempotent-Replayed") != "" || !strings.Contains(p.Detail, "with another key") {
				t.Errorf("%s made %s: %d %s", id, made, got.status, got.body)
			}
		}
	}
	if !strings.Contains(h.log.String(), "cannot be shown any more") {
		t.Error("the log does not tell it")
	}
}
