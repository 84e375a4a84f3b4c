package defendersim_test

import (
	"bufio"
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim"
)

// control is the harness with its control interface.
func control(t *testing.T) (*harness, func(method, path, body string) answer) {
	h := start(t, nil)
	srv := httptest.NewServer(h.ControlHandler())
	t.Cleanup(srv.Close)
	return h, func(method, path, body string) answer { t.Helper(); return h.do(h.request(method, srv.URL+path, body)) }
}

func TestControlDescribesItself(t *testing.T) {
	h, call := control(t)
	m := call("GET", "/", "").json(t)
	if len(m["endpoints"].([]any)) < 15 || !strings.Contains(string(call("GET", "/", "").body), clientID) {
		t.Errorf("%v", m)
	}
	for _, path := range []string{"/directories", "/directories/" + dirID, "/journal", "/faults", "/directories/" + dirID + "/truth"} {
		if a := call("GET", path, ""); a.status != 200 || strings.Contains(string(a.body), secret) {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	_ = h
}

func TestControlDirectoryLife(t *testing.T) {
	h, call := control(t)
	id := "44444444-dddd-4ddd-8ddd-444444444444"
	at := "/directories/" + id
	if a := call("PUT", at, `{"machines":12,"findings_per_machine":5,"domain":"fabrikam.com","apps":[]}`); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := call("PUT", at+"/apps/"+clientID, `{"secret":"s","roles":["Machine.Read.All"]}`); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	token := h.form("/"+id+"/oauth2/v2.0/token", "client_secret", "s").json(t)["access_token"].(string)
	if a := h.get(token, "/api/machines?$top=1"); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	before := call("GET", at+"/truth", "").json(t)["machines"].(map[string]any)["accepted"].(float64)
	a := call("POST", at+"/changes", `[{"op":"remove_machines","from":0,"to":5},{"op":"exclude_machine","machine":7}]`)
	if a.status != 200 || a.json(t)["machines"].(map[string]any)["accepted"].(float64) != before-6 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := call("PUT", at+"/licence", `{"licence":"inactive"}`); a.status != 204 || h.get(token, "/api/machines").status != 401 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := call("DELETE", at, ""); a.status != 204 || len(h.Directories()) != 1 {
		t.Errorf("%d, %v", a.status, h.Directories())
	}
	if a := call("DELETE", at, ""); a.status != 404 {
		t.Errorf("%d", a.status)
	}
}

func TestControlRefusals(t *testing.T) {
	_, call := control(t)
	id := "44444444-dddd-4ddd-8ddd-444444444444"
	for _, tt := range []struct {
		method, path, body string
		status             int
	}{
		{"PUT", "/directories/nope", `{"machines":10}`, 400},
		{"PUT", "/directories/" + id, `{"machine":10}`, 400},
		{"PUT", "/directories/" + id, `{"machines":100001}`, 400},
		{"PUT", "/directories/" + id, `{"machines":10,"licence":"free"}`, 400},
		{"PUT", "/directories/" + id, `{"machines":10,"domain":"contoso.com"}`, 400},
		{"PUT", "/directories/" + id, `{"machines":10,"findings_per_machine":-1}`, 400},
		{"PUT", "/directories/" + dirID + "/apps/x", `{"secret":"s"}`, 400},
		{"PUT", "/directories/" + dirID + "/apps/" + id, `{"roles":[]}`, 400},
		{"PUT", "/directories/" + dirID + "/licence", `{"licence":"free"}`, 400},
		{"POST", "/directories/" + dirID + "/changes", `[{"op":"dance"}]`, 400},
		{"GET", "/directories/" + id + "/truth", "", 404},
		{"GET", "/directories/" + id + "/truth/assets", "", 404},
		{"POST", "/faults", `{"statsu":500}`, 400},
		{"POST", "/faults", `{"route":"machinez"}`, 400},
		{"GET", "/faults/nope/wait", "", 404},
		{"POST", "/faults/nope/release", "", 404},
		{"GET", "/journal?limit=x", "", 400},
	} {
		if a := call(tt.method, tt.path, tt.body); a.status != tt.status {
			t.Errorf("%s %s %s: %d %s", tt.method, tt.path, tt.body, a.status, a.body)
		}
	}
}

func TestControlTruthStreams(t *testing.T) {
	_, call := control(t)
	truth := call("GET", "/directories/"+dirID+"/truth", "").json(t)
	for stream, want := range map[string]any{
		"assets": truth["machines"].(map[string]any)["accepted"], "findings": truth["findings"].(map[string]any)["total"],
	} {
		lines := 0.0
		for sc := bufio.NewScanner(bytes.NewReader(call("GET", "/directories/"+dirID+"/truth/"+stream, "").body)); sc.Scan(); lines++ {
			if !strings.HasPrefix(sc.Text(), `{"source_id":"`) {
				t.Fatal(sc.Text())
			}
		}
		if lines != want {
			t.Errorf("%s: %v lines, want %v", stream, lines, want)
		}
	}
}

func TestControlFaultsAndJournal(t *testing.T) {
	h, call := control(t)
	token := h.token()
	if a := call("POST", "/faults", `[{"route":"machines","times":1,"status":503,"body":"html"},{"id":"hold","route":"machine","hold":true}]`); a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := h.get(token, "/api/machines?$top=1&client_secret=oops"); a.status != 503 {
		t.Errorf("%d", a.status)
	}
	done := make(chan answer)
	go func() { done <- h.get(token, "/api/machines/abc") }()
	if a := call("GET", "/faults/hold/wait", ""); a.status != 204 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := call("POST", "/faults/hold/release", ""); a.status != 204 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := <-done; a.status != 404 {
		t.Errorf("%d", a.status)
	}
	entries := h.Journal(0)
	if len(entries) != 3 || entries[0].Route != "token" || entries[1].Status != 503 || entries[1].Directory != dirID || entries[1].Query != "(redacted)" {
		t.Errorf("%+v", entries)
	}
	body := string(call("GET", "/journal?limit=2", "").body)
	for _, hidden := range []string{secret, token, "oops"} {
		if strings.Contains(body, hidden) {
			t.Errorf("74: the journal holds %q", hidden)
		}
	}
	if strings.Count(body, `"method"`) != 2 {
		t.Errorf("%s", body)
	}
	call("DELETE", "/journal", "")
	call("DELETE", "/faults", "")
	if len(h.Journal(0)) != 0 || len(h.Faults()) != 0 {
		t.Error("not cleared")
	}
}

func TestAddDirectoryReplacesChanges(t *testing.T) {
	h := start(t, nil)
	spec := defendersim.DirectorySpec{ID: dirID, Machines: 15, EdgeCases: new(bool)}
	if err := h.AddDirectory(spec); err != nil {
		t.Fatal(err)
	}
	if s, _ := h.State(dirID); s.Truth().Machines.Accepted != 15 {
		t.Errorf("%+v", s.Truth())
	}
}
