package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func encode(secret []byte) string { return base64.StdEncoding.EncodeToString(secret) }

func counting(from, step byte) []byte {
	secret := make([]byte, keySize)
	for i := range secret {
		secret[i] = from + byte(i)*step
	}
	return secret
}

func fromHex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseRingRefuses(t *testing.T) {
	t.Parallel()
	good := NewKey().Reveal()
	_, secret, _ := strings.Cut(good, ":")
	tests := []struct{ name, text, want string }{
		{"nothing", "", "no key"},
		{"only remarks", "# none yet\n\n", "no key"},
		{"empty array", "[]", "no key"},
		{"not an array of strings", `[{"id":"k1"}]`, "array of strings"},
		{"unfinished array", `["` + good + `"`, "array of strings"},
		{"key without id", secret, "id:base64"},
		{"empty id", ":" + secret, "id must be"},
		{"key in the place of the id", secret + ":k1", "id must be"},
		{"hexadecimal key in the place of the id", strings.Repeat("0123456789abcdef", 4) + ":k1", "id must be"},
		{"capital letters in the id", "K1:" + secret, "id must be"},
		{"missing key", "k1:", `"k1" is missing`},
		{"not base64", "k1:" + strings.Repeat("*", 44), `"k1" is not base64`},
		{"hexadecimal", "k1:" + hex.EncodeToString(make([]byte, 32)), `48 bytes, 32 are needed`},
		{"short", "k1:" + encode(counting(3, 7)[:16]), "16 bytes, 32 are needed"},
		{"long", "k1:" + encode(append(counting(3, 7), 1)), "33 bytes, 32 are needed"},
		{"zeros", "k1:" + encode(make([]byte, 32)), "not random"},
		{"all bytes equal", "k1:" + encode(bytes.Repeat([]byte{0xa5}, 32)), "not random"},
		{"example of FIPS 197", "k1:" + encode(counting(0, 1)), "not random"},
		{"counting down", "k1:" + encode(counting(200, 255)), "not random"},
		{"example of SP 800-38A", "k1:" + encode(fromHex(t, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")), "not random"},
		{"example of the GCM specification", "k1:" + encode(fromHex(t, strings.Repeat("feffe9928665731c6d6a8f9467308308", 2))), "not random"},
		{"text", "k1:" + encode([]byte("please-change-me-this-is-no-key!")), "not random"},
		{"id twice", good + "\n" + strings.Split(good, ":")[0] + ":" + strings.Split(NewKey().Reveal(), ":")[1], "occurs twice"},
		{"key twice", "k1:" + secret + "\nk2:" + secret, `the key of "k2" occurs twice`},
		{"second entry", good + "\nk2:", "entry 2"},
		{"all problems at once", "k1:\nk2:", `"k2" is missing`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ring, err := ParseRing(test.text)
			if err == nil || ring != nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %q", err, test.want)
			}
			checkHidden(t, "the error", err.Error(), secret)
			for line := range strings.Lines(test.text) {
				if _, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && len(value) >= 8 {
					checkHidden(t, "the error", err.Error(), value)
				}
			}
		})
	}
}

func TestParseRingAccepts(t *testing.T) {
	t.Parallel()
	a, b := NewKey().Reveal(), NewKey().Reveal()
	ids := []string{strings.Split(a, ":")[0], strings.Split(b, ":")[0]}
	array, err := json.Marshal([]string{a, b})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"lines":            a + "\n" + b + "\n",
		"Windows lines":    a + "\r\n" + b,
		"remarks":          "# new\n" + a + "\n\n  # old\n  " + b + "  ",
		"JSON":             string(array),
		"JSON with spaces": "\n " + string(array) + "\n",
	} {
		ring, err := ParseRing(text)
		if err != nil || !slices.Equal(ring.IDs(), ids) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewKeysDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		line := NewKey().Reveal()
		if _, err := ParseRing(line); err != nil {
			t.Fatal(err)
		}
		seen[strings.Split(line, ":")[1]] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d different keys of 1000", len(seen))
	}
}

func FuzzParseRing(f *testing.F) {
	f.Add("")
	f.Add(NewKey().Reveal() + "\n" + NewKey().Reveal())
	f.Add(`["k1:` + encode(counting(9, 11)) + `"]`)
	f.Add("k1:\nk2:" + encode(make([]byte, 32)))
	f.Fuzz(func(t *testing.T, text string) {
		ring, err := ParseRing(text)
		if (ring == nil) == (err == nil) {
			t.Fatalf("ring %v, error %v", ring, err)
		}
		if err != nil {
			return
		}
		box, err := ring.CheckValue()
		if err != nil || ring.VerifyCheck(box) != nil || ring.Stale(box) {
			t.Fatalf("a ring that does not work was accepted: %v", err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	secret := make([]byte, keySize)
	copy(secret, "fixed, so that findings can be replayed")
	fixed, err := newKey(formatVersion, "k1", secret)
	if err != nil {
		f.Fatal(err)
	}
	ring := &Ring{keys: []key{fixed}}
	box, err := ring.Seal(NewSecret(canary), place)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(box), place)
	f.Add([]byte(box[:20]), place)
	f.Add([]byte{formatVersion, 255}, "")
	f.Fuzz(func(t *testing.T, data []byte, binding string) {
		got, err := ring.Open(data, binding)
		if err == nil && (got.Reveal() != canary || binding != place) {
			t.Fatal("a forgery was opened")
		}
		if err != nil && !got.IsZero() {
			t.Fatal("an error came with a text")
		}
	})
}
