package defender

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgp.internal/defender/internal/inventory"
)

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
		if math.IsNaN(score) || math.IsInf(score, 0) {
			score = 0 // JSON has no such numbers
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
				t.Fatal(err)
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
