package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// jsonWriter writes values behind each other, to the byte as encoding/json does with SetEscapeHTML(false). Lists of assets,
// vulnerabilities and findings are most of what the service writes, and finding out anew what a type looks like costs more than writing
// it. A lead is what stands before a value: its name and what separates it from what came before. After an error nothing counts.
type jsonWriter struct {
	out []byte
	err error
}

func (w *jsonWriter) raw(text string) { w.out = append(w.out, text...) }

// text writes a text with its lead.
func (w *jsonWriter) text(lead, value string) { w.out = appendQuoted(append(w.out, lead...), value) }

// someText leaves out an empty text.
func (w *jsonWriter) someText(lead, value string) {
	if value != "" {
		w.text(lead, value)
	}
}

func (w *jsonWriter) number(lead string, value int64) {
	w.out = strconv.AppendInt(append(w.out, lead...), value, 10)
}

func (w *jsonWriter) someNumber(lead string, value *int64) {
	if value != nil {
		w.number(lead, *value)
	}
}

func (w *jsonWriter) flag(lead string, value bool) {
	w.out = strconv.AppendBool(append(w.out, lead...), value)
}

func (w *jsonWriter) someFlag(lead string, value *bool) {
	if value != nil {
		w.flag(lead, *value)
	}
}

// fraction leaves to encoding/json what it does not write in digits alone: the very small, the very large, and what is no number.
func (w *jsonWriter) fraction(lead string, value float64) {
	w.raw(lead)
	if size := math.Abs(value); size == 0 || size >= 1e-6 && size < 1e21 {
		w.out = strconv.AppendFloat(w.out, value, 'f', -1, 64)
		return
	}
	text, err := json.Marshal(value)
	w.fail(err)
	w.out = append(w.out, text...)
}

func (w *jsonWriter) time(lead string, value time.Time) {
	w.raw(lead)
	w.raw(`"`)
	out, err := value.AppendText(w.out)
	if err != nil { // there is no text then
		w.fail(err)
		return
	}
	w.out = append(out, '"')
}

// someTime leaves out the time that stands for none.
func (w *jsonWriter) someTime(lead string, value time.Time) {
	if !value.IsZero() {
		w.time(lead, value)
	}
}

// item writes what has an encoder by that, and anything else as ever.
func (w *jsonWriter) item(value any) {
	if fast, ok := value.(interface{ AppendJSON([]byte) ([]byte, error) }); ok {
		out, err := fast.AppendJSON(w.out)
		w.out = out
		w.fail(err)
		return
	}
	buffer := bytes.NewBuffer(w.out)
	e := json.NewEncoder(buffer)
	e.SetEscapeHTML(false)
	w.fail(e.Encode(value))
	w.out = bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
}

func (w *jsonWriter) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// texts writes a list of texts with its lead.
func texts[S ~string](w *jsonWriter, lead string, values []S) {
	array(w, lead, values, func(value *S) { w.text("", string(*value)) })
}

// array writes a list with its lead; none at all is null.
func array[T any](w *jsonWriter, lead string, values []T, write func(*T)) {
	w.raw(lead)
	if values == nil {
		w.raw("null")
		return
	}
	w.raw("[")
	for i := range values {
		if i > 0 {
			w.raw(",")
		}
		write(&values[i])
	}
	w.raw("]")
}

// appendQuoted writes a text as a JSON string. What is no UTF-8 becomes U+FFFD; U+2028 and U+2029 are escaped because JavaScript once
// took them for ends of lines.
func appendQuoted(out []byte, text string) []byte {
	out = append(out, '"')
	done := 0 // how much of the text is written
	for i := 0; i < len(text); {
		if plain[text[i]] {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == '\u2028' || r == '\u2029' || r == utf8.RuneError && size == 1 || r < utf8.RuneSelf {
			out = appendEscaped(append(out, text[done:i]...), r)
			done = i + size
		}
		i += size
	}
	return append(append(out, text[done:]...), '"')
}

// plain are the characters that stand for themselves, as far as one byte tells.
var plain = func() (is [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		is[c] = c != '"' && c != '\\'
	}
	return is
}()

func appendEscaped(out []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(out, '\\', byte(r))
	case '\b':
		return append(out, `\b`...)
	case '\f':
		return append(out, `\f`...)
	case '\n':
		return append(out, `\n`...)
	case '\r':
		return append(out, `\r`...)
	case '\t':
		return append(out, `\t`...)
	}
	return fmt.Appendf(out, `\u%04x`, r)
}
