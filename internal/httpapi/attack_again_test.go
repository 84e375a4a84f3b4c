package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/tenant"
)

// again repeats a request that has created something under an Idempotency-Key: as it was, written differently, with another body, and as
// another tenant. It tells what is not as the contract promises.
func (f *fort) again(a attempt, first answered) (breaches []string) {
	if a.header.Get("Idempotency-Key") == "" || first.status != http.StatusCreated && first.status != http.StatusAccepted {
		return nil
	}
	fire := func(what string, x attempt, judge func(answered) []string) {
		got, found := f.fire(x)
		for _, breach := range append(append(found, f.arsenal.judgeMarks(x, got.body)...), judge(got)...) {
			breaches = append(breaches, what+": "+breach)
		}
	}
	same := func(got answered) []string { return judgeRepeat(first, got) }
	fire("the same again", a, same)
	spaced := a
	if spaced.body != "" {
		spaced.body = " " + spaced.body + "\n"
	}
	fire("the same with other white space", spaced, same)
	if body, ok := otherBody(a); ok {
		reused := a
		reused.body = body
		reused.named += strings.ToLower(body)
		fire("another body", reused, judgeReuse)
	}
	if a.target.role != tenant.Platform {
		stranger := a
		stranger.header = a.header.Clone()
		stranger.header.Del("account")
		stranger.header.Set("Authorization", "Bearer "+f.stranger.keys[tenant.Admin])
		stranger.by = credential{name: "a stranger", side: noSide, role: tenant.Admin}
		fire("as another tenant", stranger, func(got answered) []string { return judgeStranger(first, got) })
	}
	fire("the same after all", a, same)
	return breaches
}

// otherBody is a sound body that asks for something else than a's; false where a's says nothing that could be told apart.
func otherBody(a attempt) (string, bool) {
	members := map[string]any{}
	if a.body != "" && json.Unmarshal([]byte(a.body), &members) != nil {
		return "", false
	}
	if a.target.id == "startRun" {
		dry, _ := members["dry_run"].(bool)
		members["dry_run"] = !dry
	} else {
		members["name"] = "zqminezq another"
	}
	return encoded(members), a.body != ""
}

// judgeRepeat wants the first answer once more.
func judgeRepeat(first, got answered) (breaches []string) {
	if got.status != first.status || got.body != first.body || got.header.Get("Location") != first.header.Get("Location") {
		breaches = append(breaches, "another answer than the first one: "+short(got.body))
	}
	if got.header.Get("Idempotent-Replayed") != "true" {
		breaches = append(breaches, "it does not say that it is a repeat")
	}
	return breaches
}

// judgeReuse wants the refusal of a key that another request has.
func judgeReuse(got answered) []string {
	if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, `"code":"`+api.CodeIdempotencyKeyReused+`"`) {
		return []string{"due is 422 " + api.CodeIdempotencyKeyReused + ": " + short(got.body)}
	}
	return nil
}

// judgeStranger wants an answer that knows nothing of the first one: what another tenant asks for is its own.
func judgeStranger(first, got answered) []string {
	location := first.header.Get("Location")
	if got.header.Get("Idempotent-Replayed") != "" || location != "" && got.header.Get("Location") == location || got.body == first.body ||
		strings.Contains(got.body, api.CodeIdempotencyKeyReused) || got.status >= 500 {
		return []string{"another tenant's key is known: " + short(got.body)}
	}
	return nil
}

// TestTheJudgesOfRepeatsNotice shows them answers that must not pass, and some that must.
func TestTheJudgesOfRepeatsNotice(t *testing.T) {
	t.Parallel()
	replayed := http.Header{"Location": {"/v1/x/1"}, "Idempotent-Replayed": {"true"}}
	first := answered{201, http.Header{"Location": {"/v1/x/1"}}, `{"id":1}`}
	for name, c := range map[string]struct {
		breaches []string
		wrong    bool
	}{
		"a repeat":                   {judgeRepeat(first, answered{201, replayed, `{"id":1}`}), false},
		"a repeat that does not say": {judgeRepeat(first, first), true},
		"created twice":              {judgeRepeat(first, answered{201, http.Header{"Location": {"/v1/x/2"}}, `{"id":2}`}), true},
		"another status":             {judgeRepeat(first, answered{200, replayed, `{"id":1}`}), true},
		"a reuse":                    {judgeReuse(answered{422, nil, `{"code":"idempotency_key_reused"}`}), false},
		"a reuse that is taken":      {judgeReuse(answered{201, nil, `{"id":2}`}), true},
		"refused for another reason": {judgeReuse(answered{422, nil, `{"code":"no_import_selected"}`}), true},
		"a stranger's own":           {judgeStranger(first, answered{201, http.Header{"Location": {"/v1/x/2"}}, `{"id":2}`}), false},
		"a stranger's is not there":  {judgeStranger(first, answered{404, nil, `{"code":"not_found"}`}), false},
		"a stranger gets the first":  {judgeStranger(first, answered{201, replayed, `{"id":1}`}), true},
		"a stranger hears of it":     {judgeStranger(first, answered{422, nil, `{"code":"idempotency_key_reused"}`}), true},
	} {
		if (len(c.breaches) > 0) != c.wrong {
			t.Errorf("%s: %v", name, c.breaches)
		}
	}
}
