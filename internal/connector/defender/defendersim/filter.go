package defendersim

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// matcher tells whether a record, seen through its property accessor, satisfies a $filter.
type matcher func(field func(name string) (any, bool)) bool

// accepts is true of all records when there is no filter.
func (m matcher) accepts(field func(name string) (any, bool)) bool { return m == nil || m(field) }

// parseFilter reads the OData filter expressions that the API is known to take: comparisons joined by and, or and not, in,
// startswith, endswith, contains and machineTags/any. An empty text yields a nil matcher.
func parseFilter(text string, filterable func(name string) bool) (matcher, *apiError) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	p := &filterParser{tokens: filterTokens(text), filterable: filterable}
	m := p.or()
	if p.refusal == nil && p.at < len(p.tokens) {
		p.fail("Syntax error at '%s' in '%s'.", p.tokens[p.at], text)
	}
	return m, p.refusal
}

var filterToken = regexp.MustCompile(`'(?:[^']|'')*'|[(),]|[^\s(),']+|'`)

func filterTokens(text string) []string { return filterToken.FindAllString(text, -1) }

type filterParser struct {
	tokens     []string
	at         int
	filterable func(string) bool
	refusal    *apiError
}

func (p *filterParser) fail(format string, args ...any) {
	if p.refusal == nil {
		p.refusal = odataError(format, args...)
	}
}

func (p *filterParser) next() string {
	if p.at >= len(p.tokens) {
		p.fail("The filter ends too early.")
		return ""
	}
	p.at++
	return p.tokens[p.at-1]
}

func (p *filterParser) accept(word string) bool {
	if p.at < len(p.tokens) && p.tokens[p.at] == word {
		p.at++
		return true
	}
	return false
}

func (p *filterParser) expect(word string) {
	if got := p.next(); got != word {
		p.fail("Syntax error: '%s' expected before '%s'.", word, got)
	}
}

func (p *filterParser) or() matcher {
	left := p.and()
	for p.refusal == nil && p.accept("or") {
		a, b := left, p.and()
		left = func(f func(string) (any, bool)) bool { return a(f) || b(f) }
	}
	return left
}

func (p *filterParser) and() matcher {
	left := p.term()
	for p.refusal == nil && p.accept("and") {
		a, b := left, p.term()
		left = func(f func(string) (any, bool)) bool { return a(f) && b(f) }
	}
	return left
}

func (p *filterParser) term() matcher {
	switch {
	case p.refusal != nil:
		return nil
	case p.accept("not"):
		m := p.term()
		return func(f func(string) (any, bool)) bool { return !m(f) }
	case p.accept("("):
		m := p.or()
		p.expect(")")
		return m
	}
	word := p.next()
	switch strings.ToLower(word) {
	case "startswith", "endswith", "contains":
		return p.function(strings.ToLower(word))
	case "machinetags/any":
		return p.tags()
	}
	return p.comparison(p.property(word))
}

func (p *filterParser) property(word string) string {
	name := strings.ToLower(word)
	if p.refusal == nil && !p.filterable(name) {
		p.fail("Could not find a property named '%s', or filtering by it is not supported.", word)
	}
	return name
}

func (p *filterParser) function(name string) matcher {
	p.expect("(")
	property := p.property(p.next())
	p.expect(",")
	want, _ := p.literal().(string)
	p.expect(")")
	test := map[string]func(string, string) bool{"startswith": strings.HasPrefix, "endswith": strings.HasSuffix, "contains": strings.Contains}[name]
	return func(f func(string) (any, bool)) bool {
		v, _ := f(property)
		text, ok := v.(string)
		return ok && test(text, want)
	}
}

// tags reads the rest of machineTags/any(tag: tag eq 'x').
func (p *filterParser) tags() matcher {
	p.property("machineTags")
	p.expect("(")
	variable := strings.TrimSuffix(p.next(), ":")
	if got := p.next(); got != variable {
		p.fail("Syntax error: '%s' expected.", variable)
	}
	p.expect("eq")
	want, _ := p.literal().(string)
	p.expect(")")
	return func(f func(string) (any, bool)) bool {
		v, _ := f("machinetags")
		tags, _ := v.([]string)
		return slices.Contains(tags, want)
	}
}

func (p *filterParser) comparison(property string) matcher {
	op := strings.ToLower(p.next())
	if op == "in" {
		return p.membership(property)
	}
	if !slices.Contains([]string{"eq", "ne", "gt", "ge", "lt", "le"}, op) {
		p.fail("Unknown operator '%s'.", op)
		return nil
	}
	want := p.literal()
	return func(f func(string) (any, bool)) bool {
		v, _ := f(property)
		return compare(v, op, want)
	}
}

func (p *filterParser) membership(property string) matcher {
	p.expect("(")
	var list []any
	for p.refusal == nil {
		list = append(list, p.literal())
		if !p.accept(",") {
			break
		}
	}
	p.expect(")")
	return func(f func(string) (any, bool)) bool {
		v, _ := f(property)
		return slices.ContainsFunc(list, func(want any) bool { return compare(v, "eq", want) })
	}
}

// literal reads a quoted text, a number, null, true, false or a date.
func (p *filterParser) literal() any {
	word := p.next()
	switch {
	case len(word) >= 2 && word[0] == '\'':
		return strings.ReplaceAll(word[1:len(word)-1], "''", "'")
	case word == "null":
		return nil
	case word == "true" || word == "false":
		return word == "true"
	}
	if n, err := strconv.ParseFloat(word, 64); err == nil {
		return n
	}
	if t, err := parseTime(word); err == nil {
		return t
	}
	p.fail("Syntax error: '%s' is no literal.", word)
	return nil
}

// parseTime reads the spellings of a time that the API takes; without a zone UTC is meant.
func parseTime(text string) (t time.Time, err error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02Z", "2006-01-02", "2006-01-02T15:04Z", "2006-01-02T15:04:05"} {
		if t, err = time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return t, err
}

func compare(v any, op string, want any) bool {
	order, comparable := 0, false
	switch a := v.(type) {
	case string:
		b, ok := want.(string)
		order, comparable = cmp.Compare(a, b), ok
	case float64:
		b, ok := want.(float64)
		order, comparable = cmp.Compare(a, b), ok
	case time.Time:
		b, ok := want.(time.Time)
		order, comparable = a.Compare(b), ok
	case nil:
		comparable = want == nil
	}
	if !comparable {
		return op == "ne"
	}
	switch op {
	case "eq":
		return order == 0
	case "ne":
		return order != 0
	case "gt":
		return order > 0
	case "ge":
		return order >= 0
	case "lt":
		return order < 0
	}
	return order <= 0
}
