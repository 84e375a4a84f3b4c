package defendersim_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

const exportPath = "/api/machines/SoftwareVulnerabilitiesByMachine?pageSize=50"

func TestPagesFromTheCacheAreTheSame(t *testing.T) {
	for name, limit := range map[string]int64{"roomy": 1 << 30, "tight": 5_000, "useless": 10} {
		t.Run(name, func(t *testing.T) {
			h := start(t, func(c *defendersim.Config) { c.NoQuotas, c.PageCache = true, limit })
			token := h.token()
			first, pages := h.walk(token, exportPath)
			again, pagesAgain := h.walk(token, exportPath)
			if pages < 5 || pagesAgain != pages || !slices.Equal(column(first, "id"), column(again, "id")) {
				t.Errorf("%d rows on %d pages, then %d on %d", len(first), pages, len(again), pagesAgain)
			}
			a, b := h.get(token, exportPath), h.get(token, exportPath)
			if string(a.body) != string(b.body) || a.header.Get("Content-Type") != b.header.Get("Content-Type") {
				t.Errorf("the page differs when it is sent again: %d and %d bytes", len(a.body), len(b.body))
			}
		})
	}
}

func TestFilesFromTheCacheAreTheSame(t *testing.T) {
	h := start(t, func(c *defendersim.Config) {
		c.NoQuotas, c.PageCache, c.Directory.ExportFiles = true, 1<<30, ptr(2)
	})
	list := h.files("")
	for _, link := range list {
		if _, err := h.AddFault(defendersim.Fault{Route: "blob", ResetAfter: 200, Times: 1}); err != nil {
			t.Fatal(err)
		}
		if a := h.do(h.request("GET", link, "")); a.err == nil {
			t.Fatal("the fault did not strike")
		}
	}
	first, again := h.do(h.request("GET", list[0], "")), h.do(h.request("GET", list[0], ""))
	if other := h.do(h.request("GET", list[1], "")); !bytes.Equal(first.body, again.body) || bytes.Equal(first.body, other.body) || len(lines(t, first.body)) == 0 {
		t.Errorf("%d bytes, %d when sent again, %d of the other", len(first.body), len(again.body), len(other.body))
	}
	h.change(world.Change{Op: "change_rows", Pattern: "scattered", Percent: 50})
	if changed := h.do(h.request("GET", h.files("")[0], "")); bytes.Equal(changed.body, first.body) {
		t.Error("the file of a later generation is the earlier one")
	}
}

func TestTheCacheSeesChanges(t *testing.T) {
	h := start(t, func(c *defendersim.Config) { c.NoQuotas, c.PageCache = true, 1<<30 })
	token := h.token()
	before, _ := h.walk(token, exportPath)
	began := h.get(token, exportPath)
	if err := h.Change(dirID, world.Change{Op: "change_rows", Pattern: "scattered", Percent: 50}); err != nil {
		t.Fatal(err)
	}
	after, _ := h.walk(token, exportPath)
	if len(after) != len(before) || slices.Equal(column(after, "softwareVersion"), column(before, "softwareVersion")) {
		t.Errorf("%d rows became %d, or nothing changed", len(before), len(after))
	}
	rest, _ := h.walk(token, began.next(t))
	if chain := append(began.rows(t), rest...); !slices.Equal(column(chain, "id"), column(before, "id")) {
		t.Error("a chain that had begun sees the change")
	}
}

func TestPagesThatBrokeOffAreNotKept(t *testing.T) {
	h := start(t, func(c *defendersim.Config) { c.NoQuotas, c.PageCache = true, 1<<30 })
	token := h.token()
	if _, err := h.AddFault(defendersim.Fault{Route: "software_vulnerabilities", ResetAfter: 200, Times: 1}); err != nil {
		t.Fatal(err)
	}
	if a := h.get(token, exportPath); a.err == nil {
		t.Fatal("the fault did not strike")
	}
	if a := h.get(token, exportPath); a.err != nil || len(a.rows(t)) != 50 {
		t.Errorf("after the fault: %v, %d bytes", a.err, len(a.body))
	}
}

func TestRowsAreChangedThroughTheControlPort(t *testing.T) {
	h, call := control(t)
	token := h.token()
	before, _ := h.walk(token, "/api/machines/SoftwareVulnerabilitiesByMachine")
	at := "/directories/" + dirID + "/changes"
	for body, want := range map[string]int{
		`[{"op":"change_rows","pattern":"clustered","percent":25}]`: 200, `[{"op":"change_rows","pattern":"everywhere"}]`: 400,
	} {
		if a := call("POST", at, body); a.status != want {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	after, _ := h.walk(token, "/api/machines/SoftwareVulnerabilitiesByMachine")
	changed, all, rows := map[string]bool{}, map[string]bool{}, 0
	a, b, devices := column(before, "softwareVersion"), column(after, "softwareVersion"), column(after, "deviceId")
	for i := range b {
		all[devices[i]] = true
		if a[i] != b[i] {
			changed[devices[i]] = true
			rows++
		}
	}
	if len(a) != len(b) || len(changed) < len(all)/10 || len(changed) > len(all)*2/5 || rows == 0 {
		t.Errorf("%d rows became %d, %d of them changed at %d of %d machines", len(a), len(b), rows, len(changed), len(all))
	}
}

func BenchmarkExportCompressed(b *testing.B) {
	for name, limit := range map[string]int64{"composed": 0, "cached": 1 << 30} {
		b.Run(name, func(b *testing.B) { benchmarkExport(b, limit) })
	}
}

func benchmarkExport(b *testing.B, limit int64) {
	findings := 90
	sim := defendersim.New(defendersim.Config{Seed: 1, NoQuotas: true, PageCache: limit, Directory: &defendersim.DirectorySpec{
		ID: dirID, Machines: 1000, FindingsPerMachine: &findings, Apps: []defendersim.App{goodApp()}}})
	srv := httptest.NewServer(sim.Handler())
	defer srv.Close()
	res, err := http.PostForm(srv.URL+"/"+dirID+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {secret}, "scope": {scope}})
	if err != nil {
		b.Fatal(err)
	}
	var granted struct {
		Token string `json:"access_token"`
	}
	if err := errors.Join(json.NewDecoder(res.Body).Decode(&granted), res.Body.Close()); err != nil || granted.Token == "" {
		b.Fatal(res.StatusCode, err)
	}
	for b.Loop() {
		req, err := http.NewRequest(http.MethodGet, srv.URL+"/api/machines/SoftwareVulnerabilitiesByMachine", nil)
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+granted.Token)
		req.Header.Set("Accept-Encoding", "gzip") // left as it is sent: inflating is the client's work
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); err != nil || n < 1000 || res.StatusCode != http.StatusOK {
			b.Fatal(n, res.StatusCode, err)
		}
		_ = res.Body.Close()
	}
	b.ReportMetric(float64(50_000*b.N)/b.Elapsed().Seconds(), "rows/s")
}
