package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgp.internal/defender/internal/tenant"
)

// traces are what no answer may hold, unless its request did.
var traces = []string{"pq:", "SQLSTATE", "sql:", "goroutine", ".go:", "AADSTS", "panic", "runtime error", "violates", "syntax error at"}

// judge holds an answer against what is known about its request. What the contract says about it is said elsewhere.
func (a *arsenal) judge(x attempt, got answered) (breaches []string) {
	if got.status == 0 {
		return nil // there is no answer
	}
	breaches = append(breaches, judgeStatus(x, got)...)
	if got.status >= 400 && got.header.Get("Content-Type") != "application/problem+json" {
		breaches = append(breaches, "no problem document")
	}
	if got.status == http.StatusMethodNotAllowed && got.header.Get("Allow") == "" {
		breaches = append(breaches, "no Allow")
	}
	told := got.body + fmt.Sprint(got.header)
	for _, trace := range traces {
		if strings.Contains(told, trace) && !strings.Contains(x.named, strings.ToLower(trace)) {
			breaches = append(breaches, fmt.Sprintf("it holds %q", trace))
		}
	}
	for _, secret := range a.secrets {
		if strings.Contains(told, secret) {
			breaches = append(breaches, fmt.Sprintf("it holds a secret that ends with %q", secret[len(secret)-4:]))
		}
	}
	return append(breaches, a.judgeMarks(x, told)...)
}

// judgeStatus compares the status with what is due.
func judgeStatus(x attempt, got answered) (breaches []string) {
	upstream := got.status == http.StatusServiceUnavailable && strings.Contains(got.body, `"code":"upstream_`) && x.target.answers("503")
	if got.status >= 500 && !upstream {
		return []string{"the service has failed"}
	}
	if len(x.flaws) > 0 {
		var due []int
		for _, kind := range x.flaws {
			due = append(due, dues[kind]...)
		}
		if strings.Contains(x.target.path, "{cve}") { // which somebody may have or not
			due = append(due, 404)
		}
		// What a secret must look like depends on the integration, so the condition comes first (RFC 9110, section 13.2.1).
		if x.target.id == "rotateIntegrationSecret" && slices.Contains(x.flaws, "body") && x.header.Get("If-Match") != "" {
			due = append(due, http.StatusPreconditionFailed)
		}
		if !slices.Contains(due, got.status) {
			return []string{fmt.Sprintf("due is one of %v", due)}
		}
		return nil
	}
	refusals := []int{400, 401, 403, 405, 406, 413, 414, 415, 431}
	if !strings.Contains(x.target.path, "{") {
		refusals = append(refusals, 404)
	}
	if slices.Contains(refusals, got.status) {
		return []string{"nothing is wrong with the request"}
	}
	return nil
}

// judgeMarks looks for what belongs to tenants that the credential is not for.
func (a *arsenal) judgeMarks(x attempt, told string) (breaches []string) {
	told = strings.ToLower(told)
	for owner, marks := range a.marks {
		if owner == x.by.side || x.target.role == tenant.Platform && x.by.side == platformSide {
			continue
		}
		for _, mark := range marks {
			if strings.Contains(told, mark) && !strings.Contains(x.named, mark) {
				breaches = append(breaches, fmt.Sprintf("it holds %s, which belongs to somebody else", mark))
			}
		}
	}
	return breaches
}

// TestTheJudgeOfTheAttackNotices shows answers to the judge that must not pass, and one that must.
func TestTheJudgeOfTheAttackNotices(t *testing.T) {
	t.Parallel()
	list := &target{operation: operation{id: "listAssets", method: http.MethodGet, path: "/v1/assets", role: tenant.ReadOnly, documents: []string{"200", "400", "503"}}}
	mine := credential{side: minesSide, role: tenant.Admin}
	a := &arsenal{marks: map[side][]string{minesSide: {"zqminezq"}, othersSide: {"zqotherzq", "ast_0f"}}, secrets: []string{"very-secret-value"}}
	problem := http.Header{"Content-Type": {"application/problem+json"}}
	for name, c := range map[string]struct {
		flaws []string
		named string
		got   answered
		wrong bool
	}{
		"an answer":                  {nil, "", answered{200, nil, `{"items":["zqminezq"]}`}, false},
		"a refusal":                  {[]string{"query"}, "", answered{400, problem, `{}`}, false},
		"Microsoft away":             {nil, "", answered{503, problem, `{"code":"upstream_unavailable"}`}, false},
		"what the request has said":  {nil, "q=zqotherzq", answered{200, nil, "zqotherzq"}, false},
		"a failure":                  {nil, "", answered{500, problem, `{}`}, true},
		"the database away":          {nil, "", answered{503, problem, `{"code":"unavailable"}`}, true},
		"faulty and accepted":        {[]string{"query"}, "", answered{200, nil, `{}`}, true},
		"refused for another reason": {[]string{"credential"}, "", answered{400, problem, `{}`}, true},
		"sound and refused":          {nil, "", answered{400, problem, `{}`}, true},
		"sound and not found":        {nil, "", answered{404, problem, `{}`}, true},
		"no problem document":        {[]string{"query"}, "", answered{400, http.Header{"Content-Type": {"text/plain"}}, `{}`}, true},
		"a driver's words":           {nil, "", answered{200, nil, "pq: x"}, true},
		"a place in the code":        {nil, "", answered{200, nil, "query.go:17"}, true},
		"a secret":                   {nil, "very-secret-value", answered{200, nil, "very-secret-value"}, true},
		"the other tenant's mark":    {nil, "", answered{200, nil, "x zqotherzq y"}, true},
		"the other tenant's id":      {nil, "", answered{200, nil, "AST_0F"}, true},
		"a mark in a header's value": {nil, "", answered{200, http.Header{"Location": {"/zqotherzq"}}, ""}, true},
	} {
		x := attempt{target: list, by: mine, flaws: c.flaws, named: c.named}
		if found := a.judge(x, c.got); (len(found) > 0) != c.wrong {
			t.Errorf("%s: %v", name, found)
		}
	}
}

// TestAttacksCanBeRepeated makes the requests of a seed twice, and finds every kind of mistake among them.
func TestAttacksCanBeRepeated(t *testing.T) {
	t.Parallel()
	a := &arsenal{
		own: nobodys, foreign: nobodys.unknown(), unknown: nobodys, directories: []string{simDirectory}, etag: `"1.000000000000000000000000"`,
		cursors:     map[string][2]string{"/v1/assets": {"b3du", "b3RoZXI"}},
		credentials: []credential{{name: "admin", text: "k", side: minesSide, role: tenant.Admin}, {name: "none", header: " "}, {name: "platform", text: "p", side: platformSide, role: tenant.Platform}, {name: "low", text: "l", side: minesSide, role: tenant.ReadOnly}},
	}
	kinds, sound, different := map[string]int{}, 0, 0
	for _, x := range targets(t) {
		for n := range 80 {
			one, same, other := generator{a}.attempt(7, x, n), generator{a}.attempt(7, x, n), generator{a}.attempt(8, x, n)
			if one.String() != same.String() || one.body != same.body {
				t.Fatalf("%v\n%v", one, same)
			}
			if one.String() != other.String() {
				different++
			}
			if len(one.flaws) == 0 {
				sound++
			}
			for _, kind := range one.flaws {
				kinds[kind]++
			}
		}
	}
	for kind := range dues {
		if kinds[kind] < 2 {
			t.Errorf("%d mistakes of the kind %s", kinds[kind], kind)
		}
	}
	if sound < 500 || different < 1000 {
		t.Errorf("%d sound requests, %d that differ by seed", sound, different)
	}
}
