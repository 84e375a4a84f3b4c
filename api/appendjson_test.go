package api

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

type appender interface{ AppendJSON([]byte) ([]byte, error) }

// hotTypes are the types with an encoder of their own, and pages of them.
var hotTypes = []reflect.Type{
	typ[Asset](), typ[Vulnerability](), typ[Finding](), typ[Page[Asset]](), typ[Page[Vulnerability]](), typ[Page[Finding]](), typ[Page[Run]](),
}

// TestTheEncodersWriteWhatEncodingJSONWrites fills every field with values of all kinds, so that a field that an encoder does not know
// is seen.
func TestTheEncodersWriteWhatEncodingJSONWrites(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 3000 {
		for _, hot := range hotTypes {
			value := reflect.New(hot).Elem()
			fill(random, value)
			want, wantErr := plainJSON(value.Interface())
			got, err := value.Interface().(appender).AppendJSON([]byte("before "))
			if (err != nil) != (wantErr != nil) || err == nil && string(got) != "before "+string(want) {
				t.Fatalf("seed %d, %v:\n got %s, %v\nwant %s, %v", seed, hot, got, err, want, wantErr)
			}
		}
	}
}

// plainJSON is what the service would answer without encoders.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// pieces are what texts are made of: all that JSON must or may escape, and what is no UTF-8.
var pieces = []string{
	"", "a", "Zebra overflow", `"`, `\`, "/", "<&>", "\x00", "\b\f\n\r\t", "\x1f", "\x7f", "é", "日本", "😀", "\u2027", "\u2028", "\u2029", "\u202a", "\ufffd",
	"\xff", "\xe2\x80", "\xed\xa0\x80", "\xc0\xaf",
}

var fractions = []float64{0, math.Copysign(0, -1), 1, 9.8, 0.00001, 1e-6, 9.9e-7, 4.3e-10, -1e-9, 1e20, 1e21, 5e-324, math.MaxFloat64, 1.0 / 3}

// fill gives a value, and all that is in it, something at random. What cannot be written is rare.
func fill(random *rand.Rand, v reflect.Value) {
	if v.Type() == typ[time.Time]() {
		v.Set(reflect.ValueOf(anyTime(random)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(random, v.Field(i))
		}
	case reflect.Pointer:
		if random.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(random, v.Elem())
		}
	case reflect.Slice:
		if n := random.IntN(4); n < 3 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
		}
		for i := range v.Len() {
			fill(random, v.Index(i))
		}
	case reflect.String:
		text := ""
		for range random.IntN(4) {
			text += pieces[random.IntN(len(pieces))]
		}
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(random.IntN(2) > 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(random.Uint64()) >> random.IntN(64))
	case reflect.Float64:
		v.SetFloat(anyFraction(random))
	case reflect.Map: // no encoder writes one
	default:
		panic("no values of the kind " + v.Kind().String())
	}
}

func anyFraction(random *rand.Rand) float64 {
	if random.IntN(500) == 0 {
		return math.NaN()
	}
	return fractions[random.IntN(len(fractions))]
}

func anyTime(random *rand.Rand) time.Time {
	switch random.IntN(500) {
	case 0:
		return time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) // has no text
	case 1:
		return time.Now().In(time.FixedZone("", 25*60*60)) // nor has this
	}
	moments := []time.Time{
		{}, time.Unix(1780000000, 0).UTC(), time.Unix(1780000000, 123456000).UTC(), time.Unix(1, 500).In(time.FixedZone("", 5400)), time.Time{}.Add(1),
	}
	return moments[random.IntN(len(moments))]
}

// TestALongFirstItemReservesNoRoomForOthers writes a page whose first item is far longer than all others.
func TestALongFirstItemReservesNoRoomForOthers(t *testing.T) {
	t.Parallel()
	page := Page[Vulnerability]{Items: make([]Vulnerability, 1000)}
	page.Items[0].Description = strings.Repeat("long ", 200_000)
	out, err := page.AppendJSON(nil)
	if err != nil || cap(out) > 3*len(out) {
		t.Errorf("%d bytes took %d: %v", len(out), cap(out), err)
	}
}
