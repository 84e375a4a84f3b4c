// Package demo shows the product to a newcomer: it uses the public API alone, as any other program would, and tells in
// plain words what happens.
package demo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// Writer lays out what is told. It is not safe for concurrent use.
type Writer struct {
	out      io.Writer
	terminal bool
	steps    int
	width    int // of the line that is being rewritten
}

// NewWriter writes to out; a terminal gets progress on one line that is rewritten.
func NewWriter(out io.Writer, terminal bool) *Writer { return &Writer{out: out, terminal: terminal} }

// Write lets others write whole lines.
func (w *Writer) Write(p []byte) (int, error) { return w.out.Write(p) }

// Title begins everything.
func (w *Writer) Title(text string) {
	fmt.Fprintf(w.out, "%s\n%s\n", text, strings.Repeat("=", utf8.RuneCountInString(text)))
}

// Step begins a numbered part.
func (w *Writer) Step(text string) {
	w.steps++
	heading := fmt.Sprintf("%d. %s", w.steps, text)
	fmt.Fprintf(w.out, "\n%s\n%s\n", heading, strings.Repeat("-", utf8.RuneCountInString(heading)))
}

// Line writes a line.
func (w *Writer) Line(format string, args ...any) { fmt.Fprintf(w.out, format+"\n", args...) }

// Progress shows how far something is: rewritten in place on a terminal, a line of its own elsewhere.
func (w *Writer) Progress(text string) {
	if !w.terminal {
		w.Line("%s", text)
		return
	}
	width := utf8.RuneCountInString(text)
	fmt.Fprintf(w.out, "\r%s%s", text, strings.Repeat(" ", max(0, w.width-width)))
	w.width = width
}

// ProgressDone ends the rewritten line.
func (w *Writer) ProgressDone() {
	if w.terminal && w.width > 0 {
		fmt.Fprintln(w.out)
	}
	w.width = 0
}

// Table writes aligned columns. A heading of empty texts is left out.
func (w *Writer) Table(heading []string, rows [][]string) {
	t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	if strings.Join(heading, "") != "" {
		fmt.Fprintln(t, "  "+strings.Join(heading, "\t"))
	}
	for _, row := range rows {
		fmt.Fprintln(t, "  "+strings.Join(row, "\t"))
	}
	_ = t.Flush() // a terminal that is gone has no reader either
}

// clip shortens a text to a number of characters.
func clip(text string, length int) string {
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) <= length {
		return string(runes)
	}
	return string(runes[:length-1]) + "…"
}

// wrap breaks a text into lines, each indented.
func wrap(text, indent string, width int) string {
	var b strings.Builder
	length := width
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		if length+1+n > width {
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(indent)
			length = 0
		} else {
			b.WriteByte(' ')
			length++
		}
		b.WriteString(word)
		length += n
	}
	return b.String()
}
