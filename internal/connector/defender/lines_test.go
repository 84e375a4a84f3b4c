package defender

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgp.internal/defender/internal/inventory"
)

// readLines reads an export file that arrives n bytes at a time, and tells the vulnerabilities of its rows.
func readLines(t *testing.T, text string, n int) (cves []string, malformed int, err error) {
	t.Helper()
	p := newRowPages(3, func(batch []inventory.Row) error {
		for _, r := range batch {
			cves = append(cves, r.CVE)
		}
		return nil
	})
	p.lines = true
	_, _, err = p.read(bodyOf(t, &pieces{[]byte(text), n}))
	if consumed := p.relay.end(); err == nil {
		err = consumed
	}
	return cves, p.malformed, err
}

func line(n int) string {
	return fmt.Sprintf(`{"DeviceId":"d","CveId":"CVE-%d","DiskPaths":["a{\"b"]}`, n)
}

// TestABrokenLineIsOneRecord has one line of five spoilt, at each of its places.
func TestABrokenLineIsOneRecord(t *testing.T) {
	t.Parallel()
	long := `{"DeviceId":"` + strings.Repeat("x", lexerBuffer) + `",!` + strings.Repeat("y", 2*lexerBuffer) + `}`
	for name, spoilt := range map[string]string{
		"garbage": "!!", "no value": `{"DeviceId":"d","CveId":}`, "two values": `{"CveId":"a" "b"}`, "no colon": `{"CveId" "a"}`, "no name": `{1:2}`,
		"bad escape": `{"CveId":"\q"}`, "no quote": `{"CveId":"a}`, "no end": `{"DeviceId":"d"`, "no end of a list": `{"DiskPaths":["a"`, "no end but a comma": `{"DeviceId":"d",`,
		"no end but colons": `{:`, "no end, a comma and a colon": `{"DeviceId":"d",:`, "no end of an object in a list": `{"DeviceId":"d","DiskPaths":[{:`,
		"an end too many": `}`, "no end but a colon": `{"CveId":`, "no end and a blank line": "{\"CveId\":\n ", "no end but a name": `{"CveId"`, "half a literal": `{"SecurityUpdateAvailable":tru}`, "long": long, "nested": strings.Repeat(`[`, maxDepth+1),
	} {
		for at := range 5 {
			lines := []string{line(0), line(1), line(2), line(3), line(4)}
			want := []string{"CVE-0", "CVE-1", "CVE-2", "CVE-3", "CVE-4"}
			lines[at] = spoilt
			want = append(want[:at], want[at+1:]...)
			for _, end := range []string{"", "\n", "\r\n\r\n"} {
				if at == 4 && (strings.HasPrefix(name, "no end") && end == "" || name == "no quote" && end == "") {
					continue // it counts as cut off: see the next test
				}
				for _, n := range []int{7, 1 << 20} {
					got, malformed, err := readLines(t, strings.Join(lines, "\n")+end, n)
					if err != nil || malformed != 1 || !equal(got, want) {
						t.Errorf("%s in line %d, ending %q, %d bytes at a time: %q, %d malformed, %v", name, at, end, n, got, malformed, err)
					}
				}
			}
		}
	}
}

func equal(a, b []string) bool { return strings.Join(a, " ") == strings.Join(b, " ") }

// TestALineThatIsCutOffIsNoRecordToSetAside: the rest of it was lost on its way, and perhaps more than that.
func TestALineThatIsCutOffIsNoRecordToSetAside(t *testing.T) {
	t.Parallel()
	whole := line(0) + "\n!!\n" + line(1) + "\n"
	for cut := 1; cut < len(line(2)); cut++ {
		_, _, err := readLines(t, whole+line(2)[:cut], 11)
		var f *failure
		if !errors.As(err, &f) || !errors.Is(f.origin, io.ErrUnexpectedEOF) || !f.retry {
			t.Fatalf("cut after %q: %v", line(2)[:cut], err)
		}
	}
}

func TestAFileWithoutARecordIsBroken(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"<html>\n<body>\n</html>\n", "!", "{\n}\n"} {
		if _, _, err := readLines(t, text, 1<<20); err == nil {
			t.Errorf("%q was read", text)
		}
	}
	if _, malformed, err := readLines(t, string(bytes.Repeat([]byte("\n"), 3)), 2); err != nil || malformed != 0 {
		t.Errorf("an empty one: %d malformed, %v", malformed, err)
	}
}
