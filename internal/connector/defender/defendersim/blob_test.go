package defendersim_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

// files asks for the addresses of a directory's files.
func (h *harness) files(query string) []string {
	h.t.Helper()
	list, ok := h.get(h.token(), filesPath+query).json(h.t)["exportFiles"].([]any)
	if !ok {
		h.t.Fatal("no exportFiles")
	}
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.(string)
	}
	return out
}

func lines(t *testing.T, packed []byte) (rows []map[string]any) {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	sc := bufio.NewScanner(zip)
	for sc.Scan() {
		var r map[string]any
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			t.Fatalf("%v: %s", err, sc.Text())
		}
		rows = append(rows, r)
	}
	if sc.Err() != nil {
		t.Fatal(sc.Err())
	}
	return rows
}

func camel(row map[string]any) map[string]any {
	out := map[string]any{}
	for name, value := range row {
		name = strings.Replace(name, "OS", "Os", 1)
		out[strings.ToLower(name[:1])+name[1:]] = value
	}
	return out
}

func TestFilesHoldTheRowsOfTheExport(t *testing.T) {
	h := start(t, func(c *defendersim.Config) { c.NoQuotas, c.Directory.ExportFiles = true, ptr(3) })
	rows, _ := h.walk(h.token(), fullPath)
	list := h.files("")
	h.change(world.Change{Op: "remove_machines", From: 0, To: 40}) // the files stay those of their generation
	var all []map[string]any
	for _, link := range list {
		a := h.do(h.request("GET", link, ""))
		if a.status != 200 || a.header.Get("Content-Encoding") != "" {
			t.Fatalf("65: %d %q", a.status, a.header)
		}
		all = append(all, lines(t, a.body)...)
	}
	if len(list) != 3 || len(all) != len(rows) {
		t.Fatalf("65: %d files hold %d rows, the export %d", len(list), len(all), len(rows))
	}
	without, batches := 0, 0
	for i, r := range all {
		got := camel(r)
		for name, want := range rows[i] {
			if have, ok := got[name]; ok || !strings.HasSuffix(name, "Paths") {
				a, _ := json.Marshal(have)
				b, _ := json.Marshal(want)
				if string(a) != string(b) {
					t.Fatalf("65: %s is %s in the file, %s in the export", name, a, b)
				}
			}
		}
		if _, ok := r["DiskPaths"]; !ok {
			without++
		}
		if r["CveBatchTitle"] != nil {
			batches++
		}
		if r["DeviceId"] == nil || r["OSPlatform"] == nil {
			t.Fatalf("65: %v", r)
		}
	}
	if without == 0 || without == len(all) || batches == 0 {
		t.Errorf("65: %d of %d rows without DiskPaths, %d with a batch", without, len(all), batches)
	}
}

func TestSignaturesRunOut(t *testing.T) {
	h := start(t, func(c *defendersim.Config) { c.NoQuotas = true })
	for _, bad := range []string{"0", "7", "x", "-1"} {
		expect(t, h.get(h.token(), filesPath+"?sasValidHours="+bad), 400, "BadRequest")
	}
	one, six := h.files("")[0], h.files("?sasValidHours=6")[0]
	h.advance(59 * time.Minute)
	if a := h.do(h.request("GET", one, "")); a.status != 200 {
		t.Errorf("64: %d within the hour", a.status)
	}
	h.advance(time.Minute)
	a := h.do(h.request("GET", one, ""))
	if a.status != 403 || !strings.Contains(string(a.body), "<Code>AuthenticationFailed</Code>") || !strings.Contains(string(a.body), "Signature not valid in the specified key time frame") {
		t.Errorf("66: %d %s", a.status, a.body)
	}
	if a := h.do(h.request("GET", six, "")); a.status != 200 {
		t.Errorf("64: %d, six hours were asked for", a.status)
	}
	u, err := url.Parse(six)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("se", h.Now().Add(100*time.Hour).UTC().Format(time.RFC3339))
	for _, forged := range []string{u.Path + "?" + q.Encode(), strings.Replace(six, "part-00000", "part-00001", 1), u.Path} {
		if a := h.do(h.request("GET", forged, "")); a.status != 403 || !strings.Contains(string(a.body), "AuthenticationFailed") {
			t.Errorf("66: %s: %d", forged, a.status)
		}
	}
}

func TestFilesOfAnotherHost(t *testing.T) {
	h := start(t, func(c *defendersim.Config) { c.NoQuotas, c.Switches.BlobHost = true, "example.blob.core.windows.net" })
	link := h.files("")[0]
	if !strings.HasPrefix(link, "http://example.blob.core.windows.net/blob/") {
		t.Fatal(link)
	}
	r := h.request("GET", strings.Replace(link, "http://example.blob.core.windows.net", h.url, 1), "")
	r.Host = "example.blob.core.windows.net"
	r.Header.Set("Authorization", "Bearer x")
	if a := h.do(r); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	entries := h.Journal(1)
	if e := entries[0]; e.Route != "blob" || !e.Bearer || e.Directory != dirID || e.Host != "example.blob.core.windows.net" {
		t.Errorf("%+v", e)
	}
}

func TestFilesThatAreNotThere(t *testing.T) {
	h := start(t, func(c *defendersim.Config) { c.NoQuotas, c.Directory.ExportFiles = true, ptr(0) })
	if list := h.files(""); len(list) != 0 {
		t.Errorf("64: %d files", len(list))
	}
	if err := h.AddDirectory(defendersim.DirectorySpec{ID: dirID, Machines: 10, Apps: []defendersim.App{goodApp()}}); err != nil {
		t.Fatal(err)
	}
	link := h.files("")[0]
	for _, tt := range []struct {
		fault  defendersim.Fault
		status int
		holds  string
	}{
		{defendersim.Fault{Status: 200, Body: "empty", Headers: defendersim.Headers{"x-ms-copy-status": "pending", "X-Ms-Copy-Progress": "0/1048576"}}, 200, ""},
		{defendersim.Fault{Status: 404, Body: "xml"}, 404, "<Code>BlobNotFound</Code>"},
		{defendersim.Fault{Status: 503, Body: "xml"}, 503, "<Code>ServerBusy</Code>"},
	} {
		tt.fault.Route, tt.fault.Times = "blob", 1
		if _, err := h.AddFault(tt.fault); err != nil {
			t.Fatal(err)
		}
		a := h.do(h.request("GET", link, ""))
		if a.status != tt.status || !strings.Contains(string(a.body), tt.holds) || (tt.holds == "") != (len(a.body) == 0) ||
			(tt.fault.Headers != nil && (a.header.Get("x-ms-copy-status") != "pending" || a.header.Get("X-Ms-Copy-Progress") != "0/1048576")) {
			t.Errorf("66: %d %v %s", a.status, a.header, a.body)
		}
	}
	for _, f := range []defendersim.Fault{{ResetAfter: 100}, {TruncateAfter: 100}} {
		f.Route, f.Times = "blob", 1
		if _, err := h.AddFault(f); err != nil {
			t.Fatal(err)
		}
		a := h.do(h.request("GET", link, ""))
		if (a.err == nil) != (f.TruncateAfter > 0) || len(a.body) > 100 {
			t.Errorf("66: %v after %d bytes", a.err, len(a.body))
		}
	}
	if a := h.do(h.request("GET", link, "")); a.status != 200 || len(lines(t, a.body)) == 0 {
		t.Errorf("66: %d when the faults are over", a.status)
	}
	h.RemoveDirectory(dirID)
	if a := h.do(h.request("GET", link, "")); a.status != 404 {
		t.Errorf("66: %d without the directory", a.status)
	}
}
