package postgres

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// maxPage is the longest page a list gives.
const maxPage = 1000

// listQuery collects the conditions and bound parameters of one statement. Parameter $1 is always the tenant.
type listQuery struct {
	conditions strings.Builder
	args       []any
}

func newListQuery(id tenant.ID) *listQuery { return &listQuery{args: []any{int32(id)}} }

// bind adds a parameter and returns its placeholder.
func (q *listQuery) bind(value any) string {
	q.args = append(q.args, value)
	return "$" + strconv.Itoa(len(q.args))
}

// and adds a condition, in which each ? stands for the next value. Conditions are constants of this package; what a
// caller sent travels as a value only.
func (q *listQuery) and(condition string, values ...any) {
	q.conditions.WriteString(" and (")
	for _, v := range values {
		before, rest, _ := strings.Cut(condition, "?")
		q.conditions.WriteString(before + q.bind(v))
		condition = rest
	}
	q.conditions.WriteString(condition + ")")
}

// andText is [listQuery.and] for a condition with one text[] parameter; no values mean no condition.
func (q *listQuery) andText(condition string, values []string) {
	if len(values) > 0 {
		q.and(condition, storable(values))
	}
}

// andSmallints asks for one of several numbers, which an index in the order of the column finds without passing over what
// is smaller or greater than all of them.
func (q *listQuery) andSmallints(column string, values pq.Int64Array) {
	switch len(values) {
	case 0:
	case 1:
		q.and(column+" = ?::smallint", values[0])
	default:
		q.and(column+" = any(?::smallint[]) and "+column+" between ?::smallint and ?::smallint", values, slices.Min(values), slices.Max(values))
	}
}

// marking is the mark of statements to prepare, for a list without conditions. With some, the best plan depends on their
// values, and there are more combinations than a connection should keep. It is asked before the cursor's condition is added.
func (q *listQuery) marking() string {
	if q.conditions.Len() > 0 {
		return ""
	}
	return prepared
}

// storable leaves out values that no text column can hold: PostgreSQL would refuse the whole statement because of them,
// although they merely match nothing.
func storable(values []string) pq.StringArray {
	kept := make(pq.StringArray, 0, len(values)) // not nil, which would be sent as NULL
	for _, v := range values {
		if isStorable(v) {
			kept = append(kept, v)
		}
	}
	return kept
}

func isStorable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }

func each[T, U any](values []T, change func(T) U) []U {
	out := make([]U, len(values))
	for i, v := range values {
		out[i] = change(v)
	}
	return out
}

func plain[T ~string](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

func numbers[T ~int8](values []T) pq.Int64Array {
	out := make(pq.Int64Array, len(values))
	for i, v := range values {
		out[i] = int64(v)
	}
	return out
}

func uuids(values []uuid.UUID) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = v.String()
	}
	return out
}

// addressTexts writes addresses the way they are stored; what is no address matches nothing.
func addressTexts(values []netip.Addr) pq.StringArray {
	out := make(pq.StringArray, 0, len(values))
	for _, v := range values {
		if v.IsValid() {
			out = append(out, v.Unmap().WithZone("").String())
		}
	}
	return out
}

// column is an SQL expression that is never null, and its type: one part of the order of a list.
type column struct {
	expr     string
	sqlType  string
	readable func(text string) bool // whether a position's text can be a value of the type
	ties     []column               // what breaks ties under this key; nil for the order's own
}

// tied gives a sort key columns of its own to break ties: those of the table it comes from, so that one index has both.
func tied(key column, ties ...column) column {
	key.ties = ties
	return key
}

func textColumn(expr string) column { return column{expr: expr, sqlType: "text", readable: isStorable} }
func smallintColumn(expr string) column {
	return column{expr: expr, sqlType: "smallint", readable: isInteger(16)}
}
func intColumn(expr string) column {
	return column{expr: expr, sqlType: "int", readable: isInteger(32)}
}
func bigintColumn(expr string) column {
	return column{expr: expr, sqlType: "bigint", readable: isInteger(64)}
}
func realColumn(expr string) column { return column{expr: expr, sqlType: "real", readable: isReal} }
func timeColumn(expr string) column {
	return column{expr: expr, sqlType: "timestamptz", readable: isTime}
}

func isInteger(bits int) func(string) bool {
	return func(text string) bool {
		_, err := strconv.ParseInt(text, 10, bits)
		return err == nil
	}
}

func isReal(text string) bool {
	_, err := strconv.ParseFloat(text, 32)
	return err == nil
}

// isTime reads what a cast from timestamptz to text gives in UTC.
func isTime(text string) bool {
	_, err := time.Parse("2006-01-02 15:04:05.999999-07", text)
	return err == nil || text == "-infinity"
}

// ordering says how a list may be sorted: the allow-list of keys, and what breaks ties. All parts of an order run in the
// same direction, so that one index serves both.
type ordering struct {
	keys  map[string]column
	usual inventory.Sort
	ties  []column
}

// keyset is the order and extent of one page.
type keyset struct {
	name       string // key and direction; the first part of every position, so that none is read under another order
	columns    []column
	descending bool
	after      []string
	limit      int
}

// page reads a request. A sort key outside the list is an invalid_request, a position that this order did not make an
// invalid_cursor.
func (o ordering) page(r inventory.PageRequest) (keyset, error) {
	if r.Limit < 1 || r.Limit > maxPage {
		return keyset{}, fmt.Errorf("postgres: page limit %d is not within 1..%d", r.Limit, maxPage)
	}
	sort := r.Sort
	if sort == (inventory.Sort{}) {
		sort = o.usual
	}
	key, known := o.keys[sort.Key]
	if !known {
		e := fault.New(fault.CodeInvalidRequest, "this list cannot be sorted by that key")
		e.Fields = []fault.Field{{Pointer: "?sort", Code: "unknown", Detail: "Use one of the documented sort keys."}}
		return keyset{}, e
	}
	ties := o.ties
	if key.ties != nil {
		ties = key.ties
	}
	k := keyset{name: sort.Key, columns: append([]column{key}, ties...), descending: sort.Descending, limit: r.Limit}
	if sort.Descending {
		k.name = "-" + sort.Key
	}
	return k, k.resume(r.After)
}

func (k *keyset) resume(p inventory.Position) error {
	if p == nil {
		return nil
	}
	if len(p) != len(k.columns)+1 || p[0] != k.name {
		return fault.New(fault.CodeInvalidCursor, "the cursor belongs to another order of the list")
	}
	for i, c := range k.columns {
		if !c.readable(p[i+1]) {
			return fault.New(fault.CodeInvalidCursor, "the cursor cannot be read")
		}
	}
	k.after = p[1:]
	return nil
}

// resumeIn adds the condition that skips everything up to the position. It compares whole rows, which an index on the
// same columns answers with one descent.
func (k keyset) resumeIn(q *listQuery) {
	if k.after == nil {
		return
	}
	exprs, marks, values := make([]string, len(k.columns)), make([]string, len(k.columns)), make([]any, len(k.columns))
	for i, c := range k.columns {
		exprs[i], marks[i], values[i] = c.expr, "?::"+c.sqlType, k.after[i]
	}
	sign := " > "
	if k.descending {
		sign = " < "
	}
	q.and("("+strings.Join(exprs, ", ")+")"+sign+"("+strings.Join(marks, ", ")+")", values...)
}

// sortKey is the select item that [keyset.position] needs.
func (k keyset) sortKey() string { return "(" + k.columns[0].expr + ")::text as sort_key" }

// tail orders and limits: one row more than asked for tells whether there is a further page.
func (k keyset) tail(q *listQuery) string { return k.orderBy() + " limit " + q.bind(k.limit+1) }

func (k keyset) orderBy() string {
	exprs := make([]string, len(k.columns))
	for i, c := range k.columns {
		exprs[i] = c.expr
		if k.descending {
			exprs[i] += " desc"
		}
	}
	return " order by " + strings.Join(exprs, ", ")
}

// position is where the page goes on after a row that ends it.
func (k keyset) position(sortKey string, ties ...int64) inventory.Position {
	p := inventory.Position{k.name, sortKey}
	for _, t := range ties {
		p = append(p, strconv.FormatInt(t, 10))
	}
	return p
}
