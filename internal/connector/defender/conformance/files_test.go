package conformance_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// files asks for the addresses of the files of an export.
func (a account) files(t *testing.T, query string) []string {
	t.Helper()
	list, ok := a.d.get(t, a.token(t), filesPath+query).want(t, http.StatusOK, "").at(t, "exportFiles").([]any)
	if !ok {
		t.Fatal("no exportFiles")
	}
	out := make([]string, len(list))
	for i, v := range list {
		out[i], _ = v.(string)
	}
	return out
}

// lines unpacks a file: one object a line.
func lines(t *testing.T, packed []byte) (rows []object) {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text := bufio.NewScanner(zip)
	for text.Scan() {
		var o object
		if err := json.Unmarshal(text.Bytes(), &o); err != nil {
			t.Fatalf("%v: %s", err, text.Bytes())
		}
		rows = append(rows, o)
	}
	if text.Err() != nil {
		t.Fatal(text.Err())
	}
	return rows
}

func checkFileList(t *testing.T, d *double) {
	d.turn(t, object{"six_hour_snapshots": true})
	a := d.fresh(t, object{"export_files": 3}, nil)
	for _, bad := range []string{"0", "7", "x"} {
		d.get(t, a.token(t), filesPath+"?sasValidHours="+bad).want(t, http.StatusBadRequest, "BadRequest")
	}
	res := d.get(t, a.token(t), filesPath+"?sasValidHours=6").want(t, http.StatusOK, "")
	at, err := time.Parse(time.RFC3339, res.text(t, "generatedTime"))
	if now := d.now(t); err != nil || !at.Equal(at.Truncate(6*time.Hour)) || at.After(now) || now.Sub(at) >= 6*time.Hour {
		t.Errorf("generated at %v, it is %v", at, now)
	}
	context, _ := res.object(t)["@odata.context"].(string)
	if !strings.HasSuffix(context, "#microsoft.windowsDefenderATP.api.ExportFilesResponse") {
		t.Errorf("context %q", context)
	}
	form := regexp.MustCompile(`^https?://[^/]+/.*VaExport/json/OrgId=` + a.directory + `/part-\d{5}-.*c000\.json\.gz\?.*sig=`)
	list := a.files(t, "?sasValidHours=1")
	for _, address := range list {
		if !form.MatchString(address) {
			t.Errorf("address %q", address)
		}
	}
	if none := d.fresh(t, object{"export_files": 0}, nil).files(t, ""); len(list) != 3 || len(none) != 0 {
		t.Errorf("%d files where 3, %d where 0 were asked for", len(list), len(none))
	}
}

func checkFiles(t *testing.T, d *double) {
	a := d.fresh(t, object{"export_files": 3}, nil)
	export, _ := d.walk(t, a.token(t), exportPath)
	var rows []object
	for _, address := range a.files(t, "") {
		rows = append(rows, lines(t, d.get(t, "", address).want(t, http.StatusOK, "").body)...)
	}
	if len(rows) != len(export) {
		t.Fatalf("%d rows in files, %d in the export", len(rows), len(export))
	}
	pascal := regexp.MustCompile(`^([A-Z][a-z]*|OS)+$`)
	for i, r := range rows {
		for name := range r {
			if !pascal.MatchString(name) {
				t.Fatalf("a member is called %s", name)
			}
		}
		if r["DeviceId"] != export[i]["deviceId"] || r["CveId"] != export[i]["cveId"] || r["CvssScore"] != export[i]["cvssScore"] || r["OSPlatform"] != export[i]["osPlatform"] {
			t.Fatalf("%v is %v in the export", r, export[i])
		}
	}
	if n := count(rows, func(o object) bool { _, ok := o["DiskPaths"]; return ok }); n == 0 || n == len(rows) {
		t.Errorf("%d of %d rows have DiskPaths", n, len(rows))
	}
}

func checkFilesThatFail(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	address := a.files(t, "")[0]
	fail := func(fault object) answer {
		fault["route"], fault["times"] = "blob", 1
		d.arm(t, a.directory, fault)
		return d.get(t, "", address)
	}
	pending := fail(object{"status": 200, "body": "empty", "headers": object{"x-ms-copy-status": "pending", "X-Ms-Copy-Progress": "0/1000"}})
	if pending.status != http.StatusOK || len(pending.body) != 0 || pending.header.Get("x-ms-copy-status") != "pending" || pending.header.Get("x-ms-copy-progress") == "" {
		t.Errorf("pending: %d, %d bytes, %v", pending.status, len(pending.body), pending.header)
	}
	if reset := fail(object{"reset_after": 100}); reset.broken == nil {
		t.Errorf("reset: status %d, %d bytes", reset.status, len(reset.body))
	}
	if cut := fail(object{"truncate_after": 100}); cut.broken != nil || len(cut.body) != 100 {
		t.Errorf("cut: %v after %d bytes", cut.broken, len(cut.body))
	}
	if gone := fail(object{"status": 404, "body": "xml"}); gone.status != http.StatusNotFound || !bytes.Contains(gone.body, []byte("<Code>BlobNotFound</Code>")) {
		t.Errorf("gone: %d %s", gone.status, gone.body)
	}
	whole := d.get(t, "", address).want(t, http.StatusOK, "")
	d.advance(t, time.Hour)
	res := d.get(t, "", address).want(t, http.StatusForbidden, "")
	if len(lines(t, whole.body)) == 0 || !bytes.Contains(res.body, []byte("<Code>AuthenticationFailed</Code>")) || !bytes.Contains(res.body, []byte("Signature not valid in the specified key time frame")) {
		t.Errorf("expired: %s", res.body)
	}
	if entry := lastEntry(t, d, "blob"); entry["bearer"] != false {
		t.Errorf("%v", entry)
	}
	d.get(t, "sent-by-mistake", address)
	if entry := lastEntry(t, d, "blob"); entry["bearer"] != true {
		t.Errorf("a bearer token sent to a file is not in the journal: %v", entry)
	}
}

// lastEntry is the newest request of a route in the double's journal.
func lastEntry(t *testing.T, d *double, route string) (found object) {
	t.Helper()
	list, _ := d.tell(t, http.MethodGet, "/journal?limit=0", nil).at(t, "entries").([]any)
	for _, v := range list {
		if entry, ok := v.(object); ok && entry["route"] == route {
			found = entry
		}
	}
	return found
}
