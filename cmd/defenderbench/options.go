package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options are the settings of a benchmark.
type options struct {
	sizes          []int64 // findings, ascending
	out            string  // of the report, without ending
	wanted         map[string]bool
	seconds        float64
	connections    int
	pageRows       int
	catalogue      int
	rowsPerMachine int

	atOnce                          []int // imports, ascending
	small, smallMachines, smallRows int

	work, programs string
	profile        string
	keep           bool
}

// Parts of a benchmark, as --phases and --skip name them.
const (
	partDecode    = "decode"
	partFirst     = "first"
	partUnchanged = "unchanged"
	partClustered = "clustered"
	partScattered = "scattered"
	partTurnover  = "turnover"
	partFull      = "full"
	partCopy      = "copy"
	partReads     = "reads"
	partExport    = "export"
	partFiles     = "files"
	partFairness  = "fairness"
	partTogether  = "together"
)

var parts = []string{partDecode, partFirst, partUnchanged, partClustered, partScattered, partTurnover, partFull, partCopy, partReads, partExport, partFiles, partTogether, partFairness}

const usage = `defenderbench measures the service and writes a report in Markdown and JSON.

It runs defendersim and defenderd, which lie beside it, on databases that it makes in the server of $DATABASE_URL and drops
again; that URL's user must be a superuser. psql and pgbench are needed for the limits.

`

func parseOptions(args []string, out io.Writer) (options, error) {
	o := options{}
	fs := flag.NewFlagSet("defenderbench", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.Usage = func() { fmt.Fprint(out, usage); fs.PrintDefaults() }
	sizes := fs.String("sizes", "100k,1M", "findings per tenant: one run for each")
	fs.StringVar(&o.out, "out", ".local/bench/benchmark", "file of the report, without .md and .json")
	phases := fs.String("phases", strings.Join(parts, ","), "what to measure; whatever needs an import makes the first one")
	skip := fs.String("skip", "", "what not to measure")
	fs.Float64Var(&o.seconds, "seconds", 10, "how long to read each page")
	fs.IntVar(&o.connections, "connections", 8, "connections that read at once")
	fs.IntVar(&o.pageRows, "page-rows", 50_000, "rows to ask for per page of the report")
	fs.IntVar(&o.catalogue, "catalogue", 20_000, "vulnerabilities in the catalogue")
	fs.IntVar(&o.rowsPerMachine, "rows-per-machine", 163, "rows of a machine; about 0.61 findings come of a row")
	atOnce := fs.String("at-once", "1,2,4", "first imports at once, with the smallest size, to take the peak of memory of; the service has as many workers")
	fs.IntVar(&o.small, "small", 49, "tenants beside the large one in the test of fairness")
	fs.IntVar(&o.smallMachines, "small-machines", 200, "machines of each of them")
	fs.IntVar(&o.smallRows, "small-rows", 40, "rows of each of these machines")
	fs.StringVar(&o.work, "work", ".local/bench", "directory for logs, certificates, keys and files that are loaded")
	fs.StringVar(&o.programs, "programs", ownDirectory(), "directory with defenderd and defendersim")
	fs.StringVar(&o.profile, "profile", "", "directory for profiles of the service (CPU and heap of each import, list page and export) and for the costliest statements, if the server keeps them; what imports cost is summed up in the report")
	fs.BoolVar(&o.keep, "keep", false, "keep the databases")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	var err error
	if o.sizes, err = parseSizes(*sizes); err != nil {
		return o, err
	}
	if o.atOnce, err = parseAtOnce(*atOnce); err != nil {
		return o, err
	}
	if o.wanted, err = chosenParts(*phases, *skip); err != nil {
		return o, err
	}
	return o, o.check()
}

func (o options) check() error {
	for _, size := range o.sizes {
		if machines := o.machines(size); machines > 100_000 {
			return fmt.Errorf("%d findings need %d machines, the simulator has at most 100000; raise --rows-per-machine", size, machines)
		}
	}
	if o.seconds < 0.1 || o.connections < 1 || o.small < 1 || o.smallMachines < 1 || o.smallRows < 1 || o.rowsPerMachine < 1 {
		return errors.New("--seconds must be at least 0.1, and connections, tenants, machines and rows at least 1")
	}
	return nil
}

// findingsPerRow is how many findings come of a row of the simulator's report: rows that are not accepted and rows that
// share a finding make it less than one.
const findingsPerRow = 0.6145

func (o options) machines(findings int64) int {
	return max(1, int(float64(findings)/(float64(o.rowsPerMachine)*findingsPerRow)))
}

// turns is how many times a page and its limit are read in turn, within the same time: not in less than a second, which is the least that
// pgbench runs.
func (o options) turns() int {
	if o.seconds < 3 {
		return 1
	}
	return 3
}

func (o options) turn() time.Duration { return o.readFor() / time.Duration(o.turns()) }

func (o options) readFor() time.Duration { return time.Duration(o.seconds * float64(time.Second)) }

// wants tells whether a part is to be measured, or needed by one that is.
func (o options) wants(part string) bool {
	if part != partFirst {
		return o.wanted[part]
	}
	return slices.ContainsFunc(parts, func(p string) bool { return o.wanted[p] && p != partDecode && p != partTogether && p != partFairness })
}

// parseSizes reads a list such as "100k,1M,2500000".
func parseSizes(text string) ([]int64, error) {
	var sizes []int64
	for word := range strings.SplitSeq(text, ",") {
		digits, factor := strings.TrimSpace(word), int64(1)
		if rest, ok := strings.CutSuffix(digits, "k"); ok {
			digits, factor = rest, 1000
		} else if rest, ok := strings.CutSuffix(digits, "M"); ok {
			digits, factor = rest, 1_000_000
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n < 1 || n > 1_000_000_000 {
			return nil, fmt.Errorf("%q is no size such as 5000, 100k or 10M", word)
		}
		sizes = append(sizes, n*factor)
	}
	slices.SortFunc(sizes, cmp.Compare[int64])
	return slices.Compact(sizes), nil
}

// mostAtOnce is how many workers the service's connections to the database are enough for.
const mostAtOnce = 9

// parseAtOnce reads a list such as "1,2,4".
func parseAtOnce(text string) (list []int, err error) {
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < 1 || n > mostAtOnce {
			return nil, fmt.Errorf("%q is no number of imports from 1 to %d", word, mostAtOnce)
		}
		list = append(list, n)
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

func chosenParts(phases, skip string) (map[string]bool, error) {
	chosen := map[string]bool{}
	for i, list := range []string{phases, skip} {
		for word := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == ' ' }) {
			if !slices.Contains(parts, word) {
				return nil, fmt.Errorf("%q is no phase; there are %s", word, strings.Join(parts, ", "))
			}
			chosen[word] = i == 0
		}
	}
	return chosen, nil
}

// ownDirectory is where this program lies.
func ownDirectory() string {
	name, err := os.Executable()
	if err != nil {
		return "bin"
	}
	return filepath.Dir(name)
}
