package report

import (
	"fmt"
	"strconv"
	"strings"
)

// Count writes a number of things the short way: 999, 12 k, 1.09 M.
func Count(n int64) string {
	switch {
	case n >= 10_000_000:
		return fmt.Sprintf("%.1f M", float64(n)/1e6)
	case n >= 1_000_000:
		return fmt.Sprintf("%.2f M", float64(n)/1e6)
	case n >= 10_000:
		return fmt.Sprintf("%.0f k", float64(n)/1e3)
	}
	return strconv.FormatInt(n, 10)
}

// whole writes a number with a comma between thousands.
func whole(n int64) string {
	text := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, text = "-", text[1:]
	}
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return sign + text
}

func seconds(s float64) string {
	switch {
	case s >= 100:
		return fmt.Sprintf("%.0f s", s)
	case s >= 10:
		return fmt.Sprintf("%.1f s", s)
	}
	return fmt.Sprintf("%.2f s", s)
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

func mebibytes(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/mib) }

func rate(n int64, s float64, unit string) string {
	return whole(int64(ratio(float64(n), s))) + " " + unit
}

func perSecond(r float64) string { return whole(int64(r)) + "/s" }

// grid is a Markdown table.
type grid struct {
	b     *strings.Builder
	width int
}

// newGrid begins a table. A heading that ends in a colon is of a column of figures, which stand to the right.
func newGrid(b *strings.Builder, headings ...string) grid {
	rule := "|"
	for i, h := range headings {
		name, figures := strings.CutSuffix(h, ":")
		headings[i] = name
		if rule += "---"; figures {
			rule += ":"
		}
		rule += "|"
	}
	g := grid{b, len(headings)}
	g.row(headings...)
	b.WriteString(rule + "\n")
	return g
}

func (g grid) row(cells ...string) {
	if len(cells) != g.width {
		panic("report: a row of another width")
	}
	g.b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}
