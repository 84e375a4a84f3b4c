package defender

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/inventory"
)

// bodyOf is a body as a consumer meets it.
func bodyOf(t testing.TB, r io.Reader) *body {
	t.Helper()
	ctx, stop := context.WithCancelCause(context.Background())
	b := newBody(ctx, stop, r, bodyLimits{idle: time.Minute, call: time.Minute, size: 1 << 30, value: 4 << 20})
	t.Cleanup(func() { _ = b.end() })
	return b
}

func readRows(t testing.TB, page []byte) ([]inventory.Row, string, int, error) {
	t.Helper()
	var rows []inventory.Row
	p := newRowPages(7, func(batch []inventory.Row) error {
		for _, r := range batch {
			r.DiskPaths, r.RegistryPaths = append([]string(nil), r.DiskPaths...), append([]string(nil), r.RegistryPaths...)
			rows = append(rows, r)
		}
		return nil
	})
	next, _, err := p.read(bodyOf(t, bytes.NewReader(page)))
	if consumed := p.relay.end(); err == nil {
		err = consumed
	}
	return rows, next, p.malformed, err
}

func readMachines(t testing.TB, page string) ([]inventory.Machine, int, error) {
	t.Helper()
	l := &listing[inventory.Machine]{scan: newScanner(), record: record[inventory.Machine]{fields: machineFields()},
		keep: func(*inventory.Machine) bool { return true }}
	_, _, err := l.read(bodyOf(t, strings.NewReader(page)))
	return l.page, l.malformed, err
}

func readVulnerabilities(t testing.TB, page string) ([]inventory.Vulnerability, int, error) {
	t.Helper()
	l := &listing[inventory.Vulnerability]{scan: newScanner(), record: record[inventory.Vulnerability]{fields: vulnerabilityFields()},
		blank: inventory.Vulnerability{Score: -1, EPSS: -1}, keep: nameVulnerability}
	_, _, err := l.read(bodyOf(t, strings.NewReader(page)))
	return l.page, l.malformed, err
}

func TestMachineIsReadWhole(t *testing.T) {
	t.Parallel()
	page := `{"@odata.context":"x","value":[{"id":"00aa","mergedIntoMachineId":"00bb","isPotentialDuplication":true,"isExcluded":true,
	"exclusionReason":"inactive","computerDnsName":"build-07","firstSeen":"2025-03-01T08:00:00.123Z","lastSeen":"2026-01-04T21:15:09.1234567Z",
	"osPlatform":"Windows11","osVersion":null,"osProcessor":"x64","version":"24H2","lastIpAddress":"10.20.30.40","lastExternalIpAddress":"203.0.113.7",
	"agentVersion":"10.8800","osBuild":26100,"healthStatus":"Active","deviceValue":"Normal","rbacGroupId":12,"rbacGroupName":"g","riskScore":"Low",
	"exposureLevel":"Medium","isAadJoined":true,"aadDeviceId":"3333","machineTags":["a","","b"],"onboardingStatus":"Onboarded","osArchitecture":"64-bit",
	"managedBy":"Intune","managedByStatus":"Success","unknownThing":{"deep":[1,{"x":"y"}]},
	"ipAddresses":[{"ipAddress":"10.20.30.40","macAddress":"02AABBCCDDEE","type":"Ethernet","operationalStatus":"Up"},{"ipAddress":"","macAddress":null,"type":53,"operationalStatus":"Down"}],
	"vmMetadata":{"vmId":"v","cloudProvider":"Azure","resourceId":"/r","subscriptionId":null}}]}`
	joined := true
	want := inventory.Machine{
		SourceID: "00aa", MergedInto: "00bb", PotentialDuplicate: true, Excluded: true, ExclusionReason: "inactive", DNSName: "build-07",
		FirstSeen: time.Date(2025, 3, 1, 8, 0, 0, 123e6, time.UTC), LastSeen: time.Date(2026, 1, 4, 21, 15, 9, 123456700, time.UTC),
		Platform: "Windows11", Version: "24H2", Build: 26100, Architecture: "64-bit", Processor: "x64", LastIP: "10.20.30.40",
		LastExternalIP: "203.0.113.7", AgentVersion: "10.8800", Health: "Active", Onboarding: "Onboarded", DeviceValue: "Normal",
		GroupID: 12, GroupName: "g", RiskScore: "Low", ExposureLevel: "Medium", AADJoined: &joined, AADDeviceID: "3333",
		Tags: []string{"a", "b"}, ManagedBy: "Intune", ManagedByStatus: "Success",
		Interfaces: []inventory.Interface{{Address: "10.20.30.40", MAC: "02AABBCCDDEE", Type: "Ethernet", Status: "Up"}, {Type: "53", Status: "Down"}},
		Cloud:      &inventory.Cloud{Provider: "Azure", ResourceID: "/r", VMID: "v"},
	}
	got, malformed, err := readMachines(t, page)
	if err != nil || malformed != 0 || len(got) != 1 {
		t.Fatalf("%d machines, %d malformed, %v", len(got), malformed, err)
	}
	if !reflect.DeepEqual(got[0], want) {
		t.Fatalf("got  %+v\nwant %+v", got[0], want)
	}
}

func TestDirtyMachinesDoNotSpoilThePage(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 500_000)
	page := `{"value":[null,7,"x",[{}],{},` +
		`{"id":5,"computerDnsName":{"a":1},"lastSeen":"soon","osBuild":"26100","rbacGroupId":"3","isAadJoined":"maybe","machineTags":"tag","ipAddresses":{"a":1},"vmMetadata":[]},` +
		`{"Id":"` + strings.Repeat("a", 129) + `","ComputerDnsName":"a\u0000b","OsBuild":1e400,"RBACGROUPID":-5,"riskScore":"` + long + `"},` +
		"{\"id\":\"bad\xff\",\"osBuild\":9223372036854775807,\"lastSeen\":\"0001-01-01T00:00:00Z\",\"version\":\"\\ud800x\"}]}"
	got, malformed, err := readMachines(t, page)
	if err != nil || malformed != 4 || len(got) != 4 {
		t.Fatalf("%d machines, %d malformed, %v", len(got), malformed, err)
	}
	if m := got[1]; m.SourceID != "" || m.DNSName != "" || !m.LastSeen.IsZero() || m.Build != 26100 || m.GroupID != 3 || m.AADJoined != nil || m.Tags != nil || m.Interfaces != nil || m.Cloud != nil {
		t.Errorf("wrong types: %+v", m)
	}
	if m := got[2]; m.SourceID != "" || m.DNSName != "a\uFFFDb" || m.Build != 0 || m.GroupID != -5 || m.RiskScore != strings.Repeat("é", 512) {
		t.Errorf("extremes: id %q name %q build %d group %d, %d bytes", m.SourceID, m.DNSName, m.Build, m.GroupID, len(m.RiskScore))
	}
	if m := got[3]; m.SourceID != "bad\uFFFD" || m.Build != 0 || !m.LastSeen.IsZero() || m.Version != "\uFFFDx" {
		t.Errorf("repairs: %+v", m)
	}
}

func TestVulnerabilityIsReadWhole(t *testing.T) {
	t.Parallel()
	page := `{"value":[{"id":"cve-2030-1","name":"cve-2030-1","description":"d","severity":"High","cvssV3":7,"cvssVector":"CVSS:3.1/AV:N","epss":0.5,
	"publicExploit":true,"exploitVerified":true,"exploitInKit":false,"exploitTypes":["Remote"],"exploitUris":["https://x"],"tags":["t"],
	"CveSupportability":"Supported","publishedOn":"2030-01-02","updatedOn":"2030-01-03T00:00:00Z","exposedMachines":3},
	{"id":"TVM-2020-0002","cvssV3":null,"cvssVector":"","updatedOn":"0001-01-01T00:00:00Z"},
	{"name":null,"severity":"Low"},{"name":"CVE-2","cvssV3":"9.8","epss":-3},{"name":"CVE-3","cvssV3":11,"epss":1.5}]}`
	got, malformed, err := readVulnerabilities(t, page)
	if err != nil || malformed != 1 || len(got) != 4 {
		t.Fatalf("%d, %d malformed, %v", len(got), malformed, err)
	}
	want := inventory.Vulnerability{Name: "CVE-2030-1", Description: "d", SeverityWord: "High", Score: 7, Vector: "CVSS:3.1/AV:N", EPSS: 0.5,
		PublicExploit: true, ExploitVerified: true, ExploitTypes: []string{"Remote"}, ExploitURIs: []string{"https://x"}, Tags: []string{"t"},
		Supportability: "Supported", PublishedAt: time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC), UpdatedAt: time.Date(2030, 1, 3, 0, 0, 0, 0, time.UTC)}
	if !reflect.DeepEqual(got[0], want) {
		t.Errorf("got  %+v\nwant %+v", got[0], want)
	}
	if v := got[1]; v.Name != "TVM-2020-0002" || v.Score != -1 || v.EPSS != -1 || !v.UpdatedAt.IsZero() {
		t.Errorf("sparse: %+v", v)
	}
	if got[2].Score != 9.8 || got[2].EPSS != -1 || got[3].Score != -1 || got[3].EPSS != -1 {
		t.Errorf("numbers: %+v %+v", got[2], got[3])
	}
}

func TestPagesThatAreNoListFail(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]string{
		"empty": "", "blank": "  ", "html": "<html>", "null": "null", "array": `[]`, "no value": `{"error":{}}`, "null value": `{"value":null}`,
		"value is object": `{"value":{}}`, "cut in list": `{"value":[{"id":"1"}`, "cut before end": `{"value":[]`, "cut in text": `{"value":[{"id":"1`,
		"trailing document": `{"value":[]}{}`, "trailing noise": `{"value":[]} x`, "odd link": `{"value":[],"@odata.nextLink":5}`,
		"object link": `{"value":[],"@odata.nextLink":{"a":1}}`, "huge token": `{"value":[{"x":"` + strings.Repeat("a", 9<<20) + `"}]}`,
		"deep": `{"value":[{"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}]}`,
	} {
		if _, _, err := readMachines(t, page); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestNextLinkIsFoundAnywhere(t *testing.T) {
	t.Parallel()
	for _, page := range []string{
		`{"@odata.nextLink":"n","value":[]}`, `{"value":[],"@odata.nextLink":"n"} `, `{"VALUE":[],"@Odata.NextLink":"n","x":{"value":[1]}}`,
	} {
		if _, next, _, err := readRows(t, []byte(page)); err != nil || next != "n" {
			t.Errorf("%s: %q, %v", page, next, err)
		}
	}
	for _, page := range []string{`{"value":[]}`, `{"value":[],"@odata.nextLink":null}`, `{"value":[],"@odata.nextLink":""}`} {
		if _, next, _, err := readRows(t, []byte(page)); err != nil || next != "" {
			t.Errorf("%s: %q, %v", page, next, err)
		}
	}
}

func TestTimesAreReadLeniently(t *testing.T) {
	t.Parallel()
	at := func(ns int) time.Time { return time.Date(2025, 10, 6, 10, 43, 58, ns, time.UTC) }
	cases := map[string]time.Time{
		"2025-10-06T10:43:58Z": at(0), "2025-10-06 10:43:58": at(0), "2025-10-06T10:43:58": at(0), "2025-10-06t10:43:58z": at(0),
		"2025-10-06T10:43:58.1Z": at(100_000_000), "2025-10-06T10:43:58.123Z": at(123_000_000), "2025-10-06 10:43:58.1234567": at(123_456_700),
		"2025-10-06T10:43:58.123456789123Z": at(123_456_789), "2025-10-06T12:43:58+02:00": at(0), "2025-10-06T05:13:58-05:30": at(0),
		"2025-10-06": time.Date(2025, 10, 6, 0, 0, 0, 0, time.UTC), "2024-02-29T00:00:00Z": time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC),
		"0001-01-01T00:00:00Z": {}, "1969-12-31T23:59:59Z": {}, "2025-02-30T00:00:00Z": {}, "2025-13-01T00:00:00Z": {}, "2025-10-06T24:00:00Z": {},
		"2025-10-06T10:43Z": {}, "2025-10-06T10:43:58.Z": {}, "2025-10-06T10:43:58X": {}, "2025-10-06T10:43:58+0200": {}, "soon": {}, "": {},
		"2025-10-06T10:43:58.1234567Z and more text than any time has": {}, "1970-01-01T00:30:00+01:00": {}, "２０２５-10-06": {},
	}
	for text, want := range cases {
		if got := parseTime([]byte(text)); !got.Equal(want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// wireRow is the report's row as encoding/json sees it, the yardstick for the streaming reader.
type wireRow struct {
	ID             string   `json:"id"`
	DeviceID       string   `json:"deviceId"`
	DeviceName     string   `json:"deviceName"`
	RbacGroupID    int      `json:"rbacGroupId"`
	OSPlatform     string   `json:"osPlatform"`
	Vendor         string   `json:"softwareVendor"`
	Name           string   `json:"softwareName"`
	Version        string   `json:"softwareVersion"`
	CVE            *string  `json:"cveId"`
	Severity       *string  `json:"vulnerabilitySeverityLevel"`
	Score          *float64 `json:"cvssScore"`
	Exploitability string   `json:"exploitabilityLevel"`
	Update         *string  `json:"recommendedSecurityUpdate"`
	UpdateID       *string  `json:"recommendedSecurityUpdateId"`
	UpdateURL      *string  `json:"recommendedSecurityUpdateUrl"`
	Ready          *bool    `json:"securityUpdateAvailable"`
	Disk           []string `json:"diskPaths"`
	Registry       []string `json:"registryPaths"`
	First          string   `json:"firstSeenTimestamp"`
	Last           string   `json:"lastSeenTimestamp"`
}

func (w wireRow) row() inventory.Row {
	text := func(p *string) string {
		if p == nil {
			return ""
		}
		return *p
	}
	r := inventory.Row{MachineID: w.DeviceID, CVE: text(w.CVE), Vendor: w.Vendor, Product: w.Name, Version: w.Version, SeverityWord: text(w.Severity),
		Score: -1, Exploitability: w.Exploitability, UpdateText: text(w.Update), UpdateID: text(w.UpdateID), UpdateURL: text(w.UpdateURL),
		UpdateReady: w.Ready, FirstSeen: parseTime([]byte(w.First)), LastSeen: parseTime([]byte(w.Last))}
	if w.Score != nil && *w.Score >= 0 && *w.Score <= 10 {
		r.Score = *w.Score
	}
	for _, p := range w.Disk {
		if strings.TrimSpace(p) != "" {
			r.DiskPaths = append(r.DiskPaths, p)
		}
	}
	for _, p := range w.Registry {
		if strings.TrimSpace(p) != "" {
			r.RegistryPaths = append(r.RegistryPaths, p)
		}
	}
	return r
}

func sampleRow(i int) wireRow {
	cve, severity, score, update, url, ready := fmt.Sprintf("CVE-2025-%d", 1000+i%800), "High", float64(i%100)/10, "May 2026 Security Updates", "https://example.com/kb", i%2 == 0
	product := i / 7 % 90
	w := wireRow{
		ID: fmt.Sprintf("%040x_acme_widget%d_1.%d_%s", i/400, product, i%13, cve), DeviceID: fmt.Sprintf("%040x", i/400), DeviceName: fmt.Sprintf("host-%d.corp.example", i/400),
		OSPlatform: "Windows11", Vendor: "acme", Name: fmt.Sprintf("widget%d", product), Version: fmt.Sprintf("1.%d.0", product%13), CVE: &cve, Severity: &severity,
		Score: &score, Exploitability: "NoExploit", Update: &update, UpdateID: &severity, UpdateURL: &url, Ready: &ready,
		Disk:     []string{fmt.Sprintf(`C:\Program Files\acme\widget%d\bin\widget.exe`, product), fmt.Sprintf(`C:\Program Files\acme\widget%d\bin\widget.dll`, product)},
		Registry: []string{fmt.Sprintf(`HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\{widget%d}`, product)},
		First:    "2025-10-06 10:43:58", Last: fmt.Sprintf("2026-05-%02d 01:02:03.1234567", 1+i%28),
	}
	if i%50 == 0 {
		w.CVE, w.Severity, w.Score = nil, nil, nil
	}
	return w
}

func samplePage(t testing.TB, rows int, next string) []byte {
	t.Helper()
	page := struct {
		Context string    `json:"@odata.context"`
		Value   []wireRow `json:"value"`
		Next    string    `json:"@odata.nextLink,omitempty"`
	}{Context: "x", Next: next, Value: make([]wireRow, 0, rows)}
	for i := range rows {
		page.Value = append(page.Value, sampleRow(i))
	}
	text, err := json.Marshal(page)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestRowsEqualWhatEncodingJSONReads(t *testing.T) {
	t.Parallel()
	page := samplePage(t, 1500, "next")
	pascal := page
	for _, key := range []string{"deviceId", "softwareVendor", "softwareName", "softwareVersion", "cveId", "cvssScore", "diskPaths"} {
		pascal = bytes.ReplaceAll(pascal, []byte(`"`+key+`"`), []byte(`"`+strings.ToUpper(key[:1])+key[1:]+`"`))
	}
	for name, text := range map[string][]byte{"camelCase": page, "PascalCase": pascal} {
		got, next, malformed, err := readRows(t, text)
		if err != nil || next != "next" || malformed != 0 || len(got) != 1500 {
			t.Fatalf("%s: %d rows, next %q, %d malformed, %v", name, len(got), next, malformed, err)
		}
		for i, row := range got {
			if want := sampleRow(i).row(); !reflect.DeepEqual(row, want) {
				t.Fatalf("%s row %d:\ngot  %+v\nwant %+v", name, i, row, want)
			}
		}
	}
}

// TestRowsWithManyLongPathsAreHandedOverSooner has a page whose rows have a megabyte of paths each.
func TestRowsWithManyLongPathsAreHandedOverSooner(t *testing.T) {
	t.Parallel()
	const rows, perRow = 12, 1 << 20
	long := make([]string, perRow/maxPath)
	for i := range long {
		long[i] = strings.Repeat("x", maxPath-8) + fmt.Sprintf("%08d", i)
	}
	text, err := json.Marshal(map[string]any{"value": slices.Repeat([]wireRow{{DeviceID: "d", Disk: long}}, rows)})
	if err != nil {
		t.Fatal(err)
	}
	var kept [][]inventory.Row
	seen, most := 0, 0
	p := newRowPages(1000, func(batch []inventory.Row) error {
		kept, seen, most = append(kept, batch), seen+len(batch), max(most, len(batch))
		for i := range batch {
			if bytesOf(batch[i].DiskPaths) != perRow {
				return fmt.Errorf("a row has %d bytes of paths", bytesOf(batch[i].DiskPaths))
			}
		}
		return nil
	})
	_, _, err = p.read(bodyOf(t, bytes.NewReader(text)))
	if err = errors.Join(err, p.relay.end()); err != nil || seen != rows || most != mostPaths/perRow {
		t.Errorf("%d rows, at most %d at once, %v", seen, most, err)
	}
	for _, batch := range kept {
		for i := range batch {
			if bytesOf(batch[i].DiskPaths) != 0 {
				t.Fatal("paths stay after they were taken")
			}
		}
	}
}

// FuzzRowsAgainstEncodingJSON has the keys of each row in an order of its own, in either spelling, with one among them that nobody knows.
func FuzzRowsAgainstEncodingJSON(f *testing.F) {
	f.Add("00aa", "CVE-1", "acme", "C:\\x", 7.5, "2025-10-06 10:43:58", true, false, uint64(0))
	f.Add("\x00", "é\u2028", "\"\\", " ", -1.0, "x", false, true, uint64(1))
	f.Add("same", "same", "same", "same", 10.0, "0001-01-01T00:00:00Z", true, true, uint64(2))
	f.Fuzz(func(t *testing.T, device, cve, vendor, path string, score float64, at string, ready, null bool, seed uint64) {
		if len(device)+len(cve)+len(vendor)+len(path)+len(at) > maxID/3 {
			t.Skip() // an id may become too long when each of its bytes is replaced
		}
		first := wireRow{DeviceID: device, CVE: &cve, Vendor: vendor, Name: path, Version: device, Score: &score, Ready: &ready, Disk: []string{path, cve}, Last: at, First: at, Update: &vendor}
		second := first
		if null {
			second.CVE, second.Score, second.Ready, second.Disk = nil, nil, nil, nil
		}
		random := rand.New(rand.NewPCG(seed, 0))
		var text []byte
		for _, w := range []wireRow{first, second, first} {
			row, err := scrambled(w, random)
			if err != nil {
				t.Skip() // not a number
			}
			text = append(append(text, ','), row...)
		}
		text = slices.Concat([]byte(`{"value":[`), text[1:], []byte(`]}`))
		var yardstick struct{ Value []wireRow }
		if err := json.Unmarshal(text, &yardstick); err != nil {
			t.Fatal(err)
		}
		got, _, _, err := readRows(t, text)
		if err != nil || len(got) != 3 {
			t.Fatalf("%d rows, %v from %s", len(got), err, text)
		}
		for i, w := range yardstick.Value {
			if want := withoutNUL(w.row()); !reflect.DeepEqual(got[i], want) {
				t.Fatalf("row %d of %s:\ngot  %+v\nwant %+v", i, text, got[i], want)
			}
		}
	})
}

// scrambled writes a row with its keys in any order and in either spelling.
func scrambled(w wireRow, random *rand.Rand) ([]byte, error) {
	text, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, err
	}
	members["somethingNew"] = json.RawMessage(`{"id":["deviceId",{"cveId":null}]}`)
	keys := slices.Sorted(maps.Keys(members))
	random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	var out []byte
	for _, key := range keys {
		value := members[key]
		if random.IntN(2) == 0 {
			key = strings.ToUpper(key[:1]) + key[1:]
		}
		out = fmt.Appendf(out, ",%q: %s", key, value)
	}
	return slices.Concat([]byte("{"), out[1:], []byte("}")), nil
}

func withoutNUL(r inventory.Row) inventory.Row {
	for _, p := range []*string{&r.MachineID, &r.CVE, &r.Vendor, &r.Product, &r.Version, &r.UpdateText} {
		*p = strings.ReplaceAll(*p, "\x00", "\uFFFD")
	}
	for i := range r.DiskPaths {
		r.DiskPaths[i] = strings.ReplaceAll(r.DiskPaths[i], "\x00", "\uFFFD")
	}
	return r
}

func FuzzAnyBytesArePages(f *testing.F) {
	f.Add([]byte(`{"value":[{"deviceId":"1","diskPaths":["a"],"ipAddresses":[{}],"vmMetadata":{}}],"@odata.nextLink":"x"}`))
	f.Add([]byte(`{"value":[{"DeviceId":1e9,"cvssScore":"7","lastSeen":"2025-10-06 10:43:58.1","diskPaths":{"a":[null]}}]}`))
	f.Add([]byte("{\"value\":[{\"id\":\"\xff\\ud800\\u0000\"}]}"))
	f.Fuzz(func(t *testing.T, page []byte) {
		rows, _, _, err := readRows(t, page)
		if err == nil && json.Valid(page) {
			var loose struct{ Value []json.RawMessage }
			if json.Unmarshal(page, &loose) == nil && len(rows) > len(loose.Value) && bytes.Count(bytes.ToLower(page), []byte(`"value"`)) == 1 {
				t.Fatalf("%d rows from %d elements: %s", len(rows), len(loose.Value), page)
			}
		}
		_, _, _ = readMachines(t, string(page))
		_, _, _ = readVulnerabilities(t, string(page))
		_, _, _ = readLines(t, string(page), 5)
	})
}

func BenchmarkRows(b *testing.B) {
	const rows = 50_000
	page := samplePage(b, rows, "")
	p := newRowPages(1000, func([]inventory.Row) error { return nil })
	defer func() { _ = p.relay.end() }()
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		if _, n, err := p.read(bodyOf(b, bytes.NewReader(page))); err != nil || n != rows {
			b.Fatal(n, err)
		}
		if err := p.commit(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
}
