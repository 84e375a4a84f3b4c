package syncer

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"

	"pgp.internal/defender/internal/inventory"
)

// SkippedRecord is one line of what a run left out: a machine, or the rows of the report that one reason refused of one
// vulnerability, and of one machine where the machine is the reason. The lines of a run add up to its SkippedBy.
type SkippedRecord struct {
	Stage         Stage            `json:"-"`
	Reason        inventory.Reason `json:"-"`
	SourceID      string           `json:"s,omitempty"` // of the machine
	Name          string           `json:"n,omitempty"` // of the machine
	Vulnerability string           `json:"v,omitempty"`
	Detail        string           `json:"d,omitempty"`
	Records       int64            `json:"r"` // that the line stands for
}

// SkippedChunk is some lines of one reason, as they are stored.
type SkippedChunk struct {
	Stage   Stage
	Reason  inventory.Reason
	Lines   int
	Records int64
	Body    []byte // gzip of a JSON document a line
}

// Bounds of a list. Beyond them lines are drawn together: first they do not name the machine any more, then not the
// vulnerability either. So the list takes some ten megabytes of memory and a few of the database at most, however large the
// directory is.
const (
	MaxSkippedMachines = 50_000
	maxSkippedRows     = 100_000
	skippedChunk       = 5000 // lines
)

// skipList gathers what a run leaves out.
type skipList struct {
	machines map[int32]SkippedRecord // by the run's number of the machine
	others   []SkippedRecord         // of machines that have no number, or another record that counts
	more     map[skipReason]int64    // records without a line of their own
	rows     map[skippedRows]int64
	names    map[int32]string // of vulnerabilities
}

type skipReason struct {
	stage  Stage
	reason inventory.Reason
}

// skippedRows is what the rows of a line have in common.
type skippedRows struct {
	reason        uint8
	vulnerability int32
	machine       string
}

func newSkipList() *skipList {
	return &skipList{machines: map[int32]SkippedRecord{}, more: map[skipReason]int64{}, rows: map[skippedRows]int64{}, names: map[int32]string{}}
}

// machine lists a machine by its number; a negative one says that it has none.
func (l *skipList) machine(index int32, reason inventory.Reason, s Sample) {
	line := SkippedRecord{Stage: StageAssets, Reason: reason, SourceID: s.SourceID, Name: s.Name, Detail: s.Detail, Records: 1}
	switch {
	case len(l.machines)+len(l.others) >= MaxSkippedMachines:
		l.more[skipReason{StageAssets, reason}]++
	case index < 0:
		l.others = append(l.others, line)
	default:
		l.machines[index] = line
	}
}

// takeBack forgets a machine, because another record of it counts.
func (l *skipList) takeBack(index int32, reason inventory.Reason) {
	if _, listed := l.machines[index]; listed {
		delete(l.machines, index)
		return
	}
	l.more[skipReason{StageAssets, reason}]--
}

// row counts a row of the report. machine is empty unless it is the reason.
func (l *skipList) row(reason inventory.Reason, v *knownVulnerability, machine string) {
	key := skippedRows{reason: inventory.RowReasonCode(reason), machine: machine}
	if v != nil {
		key.vulnerability = v.id
	}
	if _, listed := l.rows[key]; !listed {
		if len(l.rows) >= maxSkippedRows {
			key.machine = ""
		}
		if len(l.rows) >= 2*maxSkippedRows {
			key.vulnerability = 0
		}
		if v != nil {
			l.names[v.id] = v.name
		}
	}
	l.rows[key]++
}

// takeBackRow forgets a row that was refused of an asset, because another reason comes before. As lines only come while rows are
// listed, the row is where one like it would be looked for now.
func (l *skipList) takeBackRow(reason uint8, vulnerability int32) {
	key := skippedRows{reason: reason, vulnerability: vulnerability}
	if _, listed := l.rows[key]; !listed {
		key.vulnerability = 0
	}
	l.rows[key]--
}

// dropEmpty forgets the lines that no row is left of.
func (l *skipList) dropEmpty() {
	maps.DeleteFunc(l.rows, func(_ skippedRows, n int64) bool { return n == 0 })
}

// refused are the vulnerabilities of which rows of assets were refused; false if not all of them are known.
func (l *skipList) refused() (ids []int32, all bool) {
	all = true
	for key := range l.rows {
		switch reason := inventory.RowReasonOf(key.reason); {
		case reason == inventory.AssetNotImported || reason == inventory.CVEMissing:
		case key.vulnerability == 0:
			all = false
		default:
			ids = append(ids, key.vulnerability)
		}
	}
	return ids, all
}

// restartRows forgets the rows, because the report is read again from its start.
func (l *skipList) restartRows() {
	clear(l.rows)
	delete(l.more, skipReason{StageVulnerabilities, inventory.Unreadable})
}

// lines are all lines in their order.
func (l *skipList) lines() []SkippedRecord {
	all := slices.Clone(l.others)
	for _, line := range l.machines {
		all = append(all, line)
	}
	for key, n := range l.more {
		if n > 0 {
			all = append(all, SkippedRecord{Stage: key.stage, Reason: key.reason, Records: n})
		}
	}
	for key, n := range l.rows {
		all = append(all, SkippedRecord{
			Stage: StageVulnerabilities, Reason: inventory.RowReasonOf(key.reason), SourceID: key.machine, Vulnerability: l.names[key.vulnerability], Records: n,
		})
	}
	slices.SortFunc(all, func(a, b SkippedRecord) int {
		return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.SourceID, b.SourceID),
			cmp.Compare(a.Vulnerability, b.Vulnerability), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Detail, b.Detail))
	})
	return all
}

// chunks is the list as it is stored.
func (l *skipList) chunks() (chunks []SkippedChunk, err error) {
	all := l.lines()
	for len(all) > 0 {
		n := 1
		for n < len(all) && n < skippedChunk && all[n].Stage == all[0].Stage && all[n].Reason == all[0].Reason {
			n++
		}
		chunk, err := packSkipped(all[:n])
		if err != nil {
			return nil, err
		}
		chunks, all = append(chunks, chunk), all[n:]
	}
	return chunks, nil
}

func packSkipped(lines []SkippedRecord) (SkippedChunk, error) {
	chunk := SkippedChunk{Stage: lines[0].Stage, Reason: lines[0].Reason, Lines: len(lines)}
	var body bytes.Buffer
	packer := gzip.NewWriter(&body)
	encoder := json.NewEncoder(packer)
	for i := range lines {
		chunk.Records += lines[i].Records
		if err := encoder.Encode(&lines[i]); err != nil {
			return chunk, err
		}
	}
	err := packer.Close()
	chunk.Body = body.Bytes()
	return chunk, err
}

// Unpack gives the lines of a chunk.
func (c *SkippedChunk) Unpack() ([]SkippedRecord, error) {
	unpacker, err := gzip.NewReader(bytes.NewReader(c.Body))
	if err != nil {
		return nil, err
	}
	decoder, lines := json.NewDecoder(unpacker), make([]SkippedRecord, 0, c.Lines)
	for {
		line := SkippedRecord{Stage: c.Stage, Reason: c.Reason}
		if err := decoder.Decode(&line); errors.Is(err, io.EOF) {
			return lines, nil
		} else if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
}

// agrees checks that the list has as many records of each reason as were booked.
func (l *skipList) agrees(r *Report) error {
	listed := map[skipReason]int64{}
	for key, n := range l.more {
		listed[key] += n
	}
	for _, line := range l.others {
		listed[skipReason{line.Stage, line.Reason}]++
	}
	for _, line := range l.machines {
		listed[skipReason{line.Stage, line.Reason}]++
	}
	for key, n := range l.rows {
		listed[skipReason{StageVulnerabilities, inventory.RowReasonOf(key.reason)}] += n
	}
	for i := range r.Stages {
		for reason, n := range r.Stages[i].SkippedBy {
			key := skipReason{r.Stages[i].Name, reason}
			if listed[key] != n {
				return unbalanced(key.stage, "%d records were skipped as %s, and %d are listed", n, reason, listed[key])
			}
			delete(listed, key)
		}
	}
	for key, n := range listed {
		if n != 0 {
			return unbalanced(key.stage, "%d records are listed as %s, and none was skipped so", n, key.reason)
		}
	}
	return nil
}
