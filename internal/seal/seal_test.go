package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

const place = "tenant/12/integration/0198c5d2-7f4e-7c1a-9d3b-1c2d3e4f5a6b/client_secret"

// canary has the shape of a Microsoft Entra client secret.
const canary = "aB18Q~" + "x7Kp2mVtR9wLcN4sYdHfG6jZbQ3eU8aTo1iX"

func newRing(t testing.TB, lines ...string) *Ring {
	t.Helper()
	ring, err := ParseRing(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func mustSeal(t testing.TB, ring *Ring, text string) Box {
	t.Helper()
	box, err := ring.Seal(NewSecret(text), place)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	ring := newRing(t, NewKey().Reveal())
	for _, text := range []string{"", "a", canary, strings.Repeat("long ", 10_000), "\x00\xff"} {
		box := mustSeal(t, ring, text)
		got, err := ring.Open(box, place)
		if err != nil || got.Reveal() != text {
			t.Errorf("%d bytes: got %d bytes, %v", len(text), len(got.Reveal()), err)
		}
		if len(text) > 8 && bytes.Contains(box, []byte(text[:8])) {
			t.Error("the box shows the text")
		}
		if want := 1 + 1 + len(ring.IDs()[0]) + 12 + len(text) + 16; len(box) != want {
			t.Errorf("box has %d bytes, the format says %d", len(box), want)
		}
	}
	if _, err := ring.Seal(NewSecret("x"), ""); err == nil {
		t.Error("sealed without a binding")
	}
}

func TestNoncesDiffer(t *testing.T) {
	t.Parallel()
	ring := newRing(t, NewKey().Reveal())
	start := 2 + len(ring.IDs()[0])
	nonces, boxes := map[string]bool{}, map[string]bool{}
	for range 10_000 {
		box := mustSeal(t, ring, canary)
		nonces[string(box[start:start+12])] = true
		boxes[string(box)] = true
	}
	if len(nonces) != 10_000 || len(boxes) != 10_000 {
		t.Errorf("%d nonces and %d boxes in 10000 seals", len(nonces), len(boxes))
	}
}

func TestDamageIsNoticed(t *testing.T) {
	t.Parallel()
	ring := newRing(t, NewKey().Reveal(), NewKey().Reveal())
	box := mustSeal(t, ring, canary)
	try := func(what string, damaged Box) {
		if got, err := ring.Open(damaged, place); err == nil || !got.IsZero() {
			t.Errorf("%s: opened", what)
		} else if !errors.Is(err, ErrUnreadable) && !errors.Is(err, ErrUnknownKey) {
			t.Errorf("%s: %v", what, err)
		}
		ring.Stale(damaged) // must not panic
	}
	for i := range box {
		for bit := range 8 {
			damaged := slices.Clone(box)
			damaged[i] ^= 1 << bit
			try(fmt.Sprintf("bit %d of byte %d", bit, i), damaged)
		}
		try(fmt.Sprintf("cut to %d", i), box[:i:i])
		try(fmt.Sprintf("from %d", i+1), box[i+1:])
	}
	try("one byte more", append(slices.Clone(box), 0))
	try("nothing", nil)
}

func TestMovedBoxStaysShut(t *testing.T) {
	t.Parallel()
	ring := newRing(t, NewKey().Reveal())
	box := mustSeal(t, ring, canary)
	for _, elsewhere := range []string{"", strings.Replace(place, "12", "13", 1), strings.Replace(place, "9d3b", "9d3c", 1),
		strings.TrimSuffix(place, "t"), place + "t", place + "\x00"} {
		if _, err := ring.Open(box, elsewhere); !errors.Is(err, ErrUnreadable) {
			t.Errorf("at %q: %v", elsewhere, err)
		}
	}
}

// TestHeaderCannotGrowIntoBinding moves the last byte of the binding's front into the key id and back.
func TestHeaderCannotGrowIntoBinding(t *testing.T) {
	t.Parallel()
	_, secret, _ := strings.Cut(NewKey().Reveal(), ":")
	short, long := newRing(t, "k:"+secret), newRing(t, "k1:"+secret)
	box, err := short.Seal(NewSecret(canary), "1/x")
	if err != nil {
		t.Fatal(err)
	}
	forged := slices.Concat(Box{formatVersion, 2, 'k', '1'}, box[3:])
	if _, err := long.Open(forged, "/x"); !errors.Is(err, ErrUnreadable) {
		t.Errorf("got %v", err)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	older, newer := NewKey().Reveal(), NewKey().Reveal()
	before, after, later := newRing(t, older), newRing(t, newer, older), newRing(t, newer)
	box := mustSeal(t, before, canary)
	if before.Stale(box) || !after.Stale(box) {
		t.Error("stale is wrong")
	}
	plain, err := after.Open(box, place)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := later.Open(box, place); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("without the key: %v", err)
	}
	renewed := mustSeal(t, after, plain.Reveal())
	if after.Stale(renewed) || renewed.KeyID() != later.IDs()[0] {
		t.Error("the new box is not of the primary key")
	}
	if got, err := later.Open(renewed, place); err != nil || got.Reveal() != canary {
		t.Errorf("renewed: %v", err)
	}
}

func TestCheckValue(t *testing.T) {
	t.Parallel()
	line := NewKey().Reveal()
	id, _, _ := strings.Cut(line, ":")
	_, otherSecret, _ := strings.Cut(NewKey().Reveal(), ":")
	ring := newRing(t, line)
	box, err := ring.CheckValue()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		ring *Ring
		box  Box
		want error
	}{
		"same keys":                {ring, box, nil},
		"rotated":                  {newRing(t, NewKey().Reveal(), line), box, nil},
		"other keys":               {newRing(t, NewKey().Reveal()), box, ErrUnknownKey},
		"same id, another key":     {newRing(t, id+":"+otherSecret), box, ErrUnreadable},
		"another box in its place": {ring, mustSeal(t, ring, checkText), ErrUnreadable},
		"nothing stored":           {ring, nil, ErrUnreadable},
	} {
		if err := test.ring.VerifyCheck(test.box); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
}

// printed runs v through every way in which a value ends up in a text. The verb %p prints an address, without asking
// the value for its form.
func printed(t *testing.T, v any) map[string]string {
	t.Helper()
	outputs := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%c", "%U", "%08.3f", "%p", "%10s"} {
		outputs[verb] = fmt.Sprintf(verb, v)
	}
	outputs["Sprint"], outputs["Sprintln"] = fmt.Sprint(v), fmt.Sprintln(v)
	outputs["Errorf"] = fmt.Errorf("failed with %v: %w", v, errors.ErrUnsupported).Error()
	text, err := json.Marshal(v)
	outputs["json"] = fmt.Sprint(string(text), err)
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"slog json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var buffer bytes.Buffer
		slog.New(handler(&buffer)).Info("m", "v", v, slog.Group("g", "v", v))
		outputs[name] = buffer.String()
	}
	return outputs
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	s := NewSecret(canary)
	type exported struct{ S Secret }
	type unexported struct{ s Secret }
	values := map[string]any{
		"value": s, "pointer": &s, "slice": []Secret{s}, "map": map[string]Secret{"k": s}, "field": exported{s},
		"pointer to field": &exported{s}, "unexported field": unexported{s}, "pointer to unexported": &unexported{s}, "any": []any{s},
	}
	for name, v := range values {
		for path, out := range printed(t, v) {
			checkHidden(t, name+" by "+path, out, canary)
		}
	}
	for path, out := range printed(t, s) {
		if path != "%p" && !strings.Contains(out, Mask) {
			t.Errorf("%s gives %q", path, out)
		}
	}
	if s.String() != Mask || s.GoString() != Mask {
		t.Error("String or GoString shows something else")
	}
}

func TestKeysAndBoxesDoNotPrint(t *testing.T) {
	t.Parallel()
	line := NewKey().Reveal()
	_, encoded, _ := strings.Cut(line, ":")
	secret, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	ring := newRing(t, line)
	box := mustSeal(t, ring, canary)
	for path, out := range printed(t, ring) {
		checkHidden(t, "ring by "+path, out, string(secret))
	}
	for path, out := range printed(t, *ring) {
		checkHidden(t, "ring value by "+path, out, string(secret))
		if path != "json" && path != "%p" && !strings.Contains(out, "keyring") {
			t.Errorf("ring by %s: %q", path, out)
		}
	}
	for path, out := range printed(t, box) {
		if path != "%p" && !strings.Contains(out, boxMask) || strings.Contains(out, base64.StdEncoding.EncodeToString(box[40:])) {
			t.Errorf("box by %s: %q", path, out)
		}
	}
}

// checkHidden looks for text, or any eight bytes of it, in the forms in which bytes are usually written.
func checkHidden(t *testing.T, where, out, text string) {
	t.Helper()
	for i := 0; i+8 <= len(text); i++ {
		piece := text[i : i+8]
		numbers := strings.Trim(fmt.Sprint([]byte(piece)), "[]")
		goSyntax := strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", []byte(piece)), "[]byte{"), "}")
		for _, form := range []string{piece, fmt.Sprintf("%x", piece), fmt.Sprintf("%X", piece), numbers, goSyntax} {
			if strings.Contains(out, form) {
				t.Errorf("%s shows %q", where, form)
				return
			}
		}
	}
	if strings.Contains(out, base64.StdEncoding.EncodeToString([]byte(text))) {
		t.Errorf("%s shows it in base64", where)
	}
}

func TestSecretFromJSON(t *testing.T) {
	t.Parallel()
	var body struct {
		Given  Secret `json:"given"`
		Absent Secret `json:"absent"`
	}
	if err := json.Unmarshal([]byte(`{"given":"a\u0062c"}`), &body); err != nil {
		t.Fatal(err)
	}
	if body.Given.Reveal() != "abc" || !body.Absent.IsZero() || body.Given.IsZero() {
		t.Errorf("got %q and %q", body.Given.Reveal(), body.Absent.Reveal())
	}
	if err := json.Unmarshal([]byte(`{"given":7}`), &body); err == nil {
		t.Error("a number was taken for a secret")
	}
	if !NewSecret("a").Equal(NewSecret("a")) || NewSecret("a").Equal(NewSecret("b")) || !(Secret{}).Equal(NewSecret("")) {
		t.Error("Equal is wrong")
	}
}
