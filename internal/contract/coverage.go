package contract

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
)

// Coverage notes which operations answered with which status. It is safe for concurrent use and may serve many tests.
type Coverage struct {
	mu   sync.Mutex
	seen map[Case]int
}

// Case is one documented outcome of an operation.
type Case struct {
	Operation string
	Status    int
}

// String gives the case as "operation status".
func (c Case) String() string { return fmt.Sprintf("%s %d", c.Operation, c.Status) }

// NewCoverage returns an empty record.
func NewCoverage() *Coverage { return &Coverage{seen: map[Case]int{}} }

func (c *Coverage) record(operation string, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[Case{operation, status}]++
}

// Report compares the record with the document. Statuses in except, such as 500 that a healthy server cannot be made to give, need not have been seen.
func (c *Coverage) Report(except ...int) (Report, error) {
	doc, err := loaded()
	if err != nil {
		return Report{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var r Report
	doc.each(func(_, _ string, op *openapi3.Operation) {
		for status := range op.Responses.Map() {
			code, err := strconv.Atoi(status)
			if err != nil {
				continue // "default" and ranges name no status that could be asked for
			}
			k := Case{op.OperationID, code}
			switch {
			case c.seen[k] > 0:
				r.Seen = append(r.Seen, k)
			case slices.Contains(except, code):
				r.Excepted = append(r.Excepted, k)
			default:
				r.Unseen = append(r.Unseen, k)
			}
		}
	})
	for _, cases := range [][]Case{r.Seen, r.Unseen, r.Excepted} {
		slices.SortFunc(cases, func(a, b Case) int { return strings.Compare(a.String(), b.String()) })
	}
	return r, nil
}

// Report is which documented outcomes were seen, each list in alphabetical order.
type Report struct {
	Seen     []Case
	Unseen   []Case
	Excepted []Case // not seen and not needed
}

// Complete tells whether nothing is missing.
func (r Report) Complete() bool { return len(r.Unseen) == 0 }

// String gives the counts and, a line each, what was not seen.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "contract coverage: %d of %d documented outcomes seen, %d excepted", len(r.Seen), len(r.Seen)+len(r.Unseen)+len(r.Excepted), len(r.Excepted))
	for _, k := range r.Unseen {
		fmt.Fprintf(&b, "\n  not seen: %s", k)
	}
	return b.String()
}
