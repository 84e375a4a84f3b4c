package report

import (
	"fmt"
	"strings"
)

// writeMethod says how the figures were made, in the order in which they appear.
func (r *Report) writeMethod(b *strings.Builder) {
	fmt.Fprintf(b, `
## How it is measured

* Real processes over real sockets: `+"`defendersim`"+` with TLS, `+"`defenderd serve`"+` in both roles, PostgreSQL. Each size has a
  fresh database, simulator and service. The service has its usual settings, four workers among them of which large imports leave one to
  others, but that its own limits of requests are off and that reports are read whole each time: page by page, or from files where a line says so. Only
  where first imports at once are measured, large ones may take every worker, and there are as many as imports, four at least. In service the first report
  of a large directory comes from files, and one a week; what changes in between is read as changes. A size is the number of findings stored; a machine has
  about %d rows in the report, the catalogue about %s vulnerabilities.
* Microsoft's limits of calls are switched off on both sides. With them the report comes at %d rows a page and 30 pages a minute at most.
* Before each import the simulator's pages, or files, of the report are fetched once, with the same page size and gzip, and kept by it: composing and compressing
  them is not measured, unless the day (UTC) changes in between: its processor time tells. Machines and catalogue are composed while they are read.
* Decode alone is a process of its own that reads the whole report with the service's client and throws the rows away.
* The time of an import goes from the order to its end, as the API tells both. Processor time is taken from /proc: the database's is that of the server
  with all its processes. Peak memory is the resident memory of the service in that phase (VmHWM, reset before). WAL is the distance of
  the server's positions. Finding rows written are rows of the tenant's finding table made by a transaction younger than the phase. The files of an
  import, its rows and the pages it keeps, are not counted. Vacuum and checkpoint are done between imports, so that neither falls into a measured time by chance.
* Before a re-sync of 1 %% clustered or scattered changes other software is behind one row in a hundred, those of one machine in a hundred or any: the findings stay
  and are updated. They are held against the mean of two unchanged ones, before and behind them, since the machine's speed drifts. Before one of 1 %% turned over
  one finding in a hundred, of any machines, is gone from the report and another one of the same software is in it, which is not always one that is imported: as many end, about, as begin. Nothing is stated that the latter should reach.
* After each import every open finding (machine, vulnerability, severity, vector, software) and every asset in the tables is compared with what the
  simulator says must be there: per machine, by a 128-bit sum that does not depend on the order. What is fixed there is as much as the imports told. All
  counters kept with assets, vulnerabilities and the summary are counted anew. Any difference fails the run. Of the imports that run beside each other the
  same is done for those of each number at once, for the small tenants alone and in the last group beside the large one, and for the large one itself.
* The limit of imports is `+"`\\copy`"+` by psql from a CSV file of the accepted rows, one line for each piece of software of a finding (tenant int, asset bigint,
  software int, vulnerability int, two smallint, timestamptz), into a table without index, once after each import, since the machine's speed drifts; the median counts. The ratio is given twice: rows of the report per
  second, each of which the service reads and judges, and accepted rows alone.
* Pages have 50 entries and are read over %d connections that stay open, without compression, %s seconds each; answers are read and thrown away. Of each list
  the first page is read and the 1,000th, or the last but one of a shorter list, since the last may not be full; its number is told. The first page's limit
  is `+"`pgbench -M prepared`"+` with as many clients on the statements that the service makes for that page, recorded and not copied, by an account
  without row-level security and without compiling (jit), as the service's. It leaves the server to choose how they are planned; what it makes with
  the service's settings for that, which plan pages of assets and vulnerabilities once, is told beside it. From 3 seconds on, page and limit are read in three turns within that time, and
  the median of each figure counts.
* Findings by filter are walked from the first page on, most severe first, by one client that decodes the answers: %d pages, or to the end. A page passes
  over a bounded number of findings, so it may be short or empty with others behind it.
* The export is `+"`GET /v1/findings?state=open`"+` as NDJSON. Its limit is psql's `+"`\\copy … to stdout`"+` of all findings joined with their asset, vulnerability,
  software, places and updates, a line for each piece of software, without compiling (jit) as well.
`, r.Setup.RowsPerMachine, Count(int64(r.Setup.Catalogue)), r.Setup.PageRows, r.Setup.Connections, fmt.Sprint(r.Setup.Seconds), r.Setup.WalkedPages)
}
