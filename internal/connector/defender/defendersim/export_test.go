package defendersim_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

func TestChainStaysOnItsSnapshot(t *testing.T) {
	h := start(t, func(c *defendersim.Config) { c.NoQuotas = true })
	token := h.token()
	path := "/api/machines/SoftwareVulnerabilitiesByMachine?pageSize=50"
	before, pages := h.walk(token, path)
	if pages < 5 {
		t.Fatalf("%d pages", pages)
	}
	first := h.get(token, path)
	if err := h.Change(dirID, world.Change{Op: "remove_machines", From: 0, To: 40}); err != nil {
		t.Fatal(err)
	}
	rest, _ := h.walk(token, first.next(t))
	chain := append(first.rows(t), rest...)
	a, _ := json.Marshal(before)
	b, _ := json.Marshal(chain)
	if string(a) != string(b) {
		t.Errorf("60: %d rows before, %d in the chain that saw a change", len(before), len(chain))
	}
	if after, _ := h.walk(token, path); len(after) >= len(before) {
		t.Errorf("60: a new chain has %d rows, the old one %d", len(after), len(before))
	}
}

func TestExportPaging(t *testing.T) {
	h := start(t, func(c *defendersim.Config) { c.NoQuotas = true })
	token := h.token()
	path := "/api/machines/SoftwareVulnerabilitiesByMachine"
	all, pages := h.walk(token, path)
	if pages != 1 {
		t.Errorf("60: %d pages of default size", pages)
	}
	a := h.get(token, path+"?pageSize=10")
	if len(a.rows(t)) != 10 || !strings.Contains(a.next(t), path+"?pagesize=10&$skiptoken=") {
		t.Errorf("60: next %q", a.next(t))
	}
	paged, _ := h.walk(token, path+"?pageSize=7")
	if !slices.Equal(column(all, "id"), column(paged, "id")) {
		t.Error("60: pages of 7 hold other rows")
	}
	top := h.get(token, path+"?$top=5")
	if len(top.rows(t)) != 5 || top.next(t) != "" {
		t.Errorf("61: %d rows, next %q", len(top.rows(t)), top.next(t))
	}
	for _, bad := range []string{"?pageSize=0", "?pageSize=x", "?$skiptoken=abc", "?$skiptoken=" + a.next(t)[len(a.next(t))-8:]} {
		if a := h.get(token, path+bad); a.status != 400 {
			t.Errorf("62 %s: %d", bad, a.status)
		}
	}
	nulls := 0
	for _, r := range all {
		if r["cveId"] == nil && r["vulnerabilitySeverityLevel"] == nil {
			nulls++
		}
	}
	if nulls == 0 {
		t.Error("63: no rows without a vulnerability")
	}
}

func TestOtherDirectoryRefusesSkipToken(t *testing.T) {
	h := start(t, nil)
	other := "11111111-aaaa-4aaa-8aaa-111111111112"
	if err := h.AddDirectory(defendersim.DirectorySpec{ID: other, Machines: 20, Apps: []defendersim.App{goodApp()}}); err != nil {
		t.Fatal(err)
	}
	next := h.get(h.token(), "/api/machines/SoftwareVulnerabilitiesByMachine?pageSize=10").next(t)
	token := h.form("/" + other + "/oauth2/v2.0/token").json(t)["access_token"].(string)
	if a := h.get(token, next); a.status != 400 {
		t.Errorf("62: %d", a.status)
	}
}
