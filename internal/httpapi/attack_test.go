package httpapi_test

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// siege says how long an attack lasts.
type siege struct {
	requests    int    // for each operation and seed
	seeds       int    // how many
	first       uint64 // the first of them
	only        string // the one operation to attack; empty for all
	attackers   int
	mostReports int
}

// plannedSiege is a small attack unless the environment asks for another one.
func plannedSiege(t *testing.T) siege {
	t.Helper()
	s := siege{requests: 12, seeds: 1, first: 1, only: os.Getenv("ATTACK_OPERATION"), attackers: 4, mostReports: 40}
	number := func(name string, into func(uint64)) {
		if text := os.Getenv(name); text != "" {
			n, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			into(n)
		}
	}
	number("ATTACK_REQUESTS", func(n uint64) { s.requests = int(n) })
	number("ATTACK_SEEDS", func(n uint64) { s.seeds = int(n) })
	number("ATTACK_SEED", func(n uint64) { s.first = n })
	return s
}

// TestContractAttack sends generated requests, well-formed and hostile, to every operation. Each answer is held against the
// contract, against what the generator knows about its request, and against what no answer may ever hold. ATTACK_REQUESTS says
// how many for each operation and seed, ATTACK_SEEDS how many seeds; ATTACK_SEED and ATTACK_OPERATION repeat a part of it.
func TestContractAttack(t *testing.T) {
	t.Parallel()
	s := plannedSiege(t)
	f := newFort(t)
	before := f.fingerprint(f.other)
	began := time.Now()
	var score tally
	used := true // whether something of what the tenant has may be used up
	for seed := s.first; seed < s.first+uint64(s.seeds); seed++ {
		for _, target := range targets(t) {
			if s.only != "" && s.only != target.id {
				continue
			}
			if used {
				f.restock(t)
			}
			f.assault(t, s, seed, target, &score)
			if used = target.method != http.MethodGet; used {
				f.work(t)
			}
		}
	}
	if after := f.fingerprint(f.other); after != before {
		t.Error("the other tenant's objects changed")
	}
	f.searchLog(t)
	f.searchLabels(t)
	t.Logf("%d requests in %v, %d of them repeated: %s", score.sent.Load(), time.Since(began).Round(time.Millisecond), score.repeated.Load(), score.String())
	if n := score.accepted.Load(); s.only == "" && n < score.sent.Load()/10 {
		t.Errorf("only %d of %d requests were accepted: what is attacked is not behind the first wall", n, score.sent.Load())
	}
	if s.only == "" && score.repeated.Load() == 0 {
		t.Error("no request that was accepted had an Idempotency-Key")
	}
}

// tally counts what came of the requests.
type tally struct {
	sent, accepted, faults atomic.Int64
	repeated               atomic.Int64 // of those accepted, whose Idempotency-Key was used again
	mu                     sync.Mutex
	statuses               map[int]int
}

func (c *tally) add(status int) {
	c.sent.Add(1)
	if status < 400 {
		c.accepted.Add(1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.statuses == nil {
		c.statuses = map[int]int{}
	}
	c.statuses[status]++
}

func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parts []string
	for status := 200; status < 600; status++ {
		if n := c.statuses[status]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d × %d", n, status))
		}
	}
	return strings.Join(parts, ", ")
}

// assault sends the requests of one operation and seed, some at a time.
func (f *fort) assault(t *testing.T, s siege, seed uint64, target *target, score *tally) {
	t.Helper()
	g := generator{f.arsenal}
	numbers := make(chan int)
	var group sync.WaitGroup
	for range s.attackers {
		group.Go(func() {
			for n := range numbers {
				f.one(t, g.attempt(seed, target, n), score, s.mostReports)
			}
		})
	}
	for n := range s.requests {
		numbers <- n
	}
	close(numbers)
	group.Wait()
	if score.faults.Load() >= int64(s.mostReports) {
		t.Fatalf("given up after %d faults", score.faults.Load())
	}
}

// one sends a request and judges its answer.
func (f *fort) one(t *testing.T, a attempt, score *tally, most int) {
	t.Helper()
	got, breaches := f.fire(a)
	score.add(got.status)
	breaches = append(breaches, f.arsenal.judge(a, got)...)
	if len(a.flaws) == 0 && a.header.Get("Idempotency-Key") != "" && got.status < 300 {
		score.repeated.Add(1)
		breaches = append(breaches, f.again(a, got)...)
	}
	if len(breaches) == 0 {
		return
	}
	if score.faults.Add(1) <= int64(most) {
		t.Errorf("%v\n  %d %s\n  %s", a, got.status, short(got.body), strings.Join(breaches, "\n  "))
	}
}

func short(text string) string {
	if len(text) > 600 {
		return text[:600] + "…"
	}
	return strings.TrimSpace(text)
}

// breachList collects what the contract reports about one exchange.
type breachList struct{ found []string }

func (*breachList) Helper() {}

func (b *breachList) Errorf(format string, args ...any) {
	b.found = append(b.found, short(fmt.Sprintf(format, args...)))
}

func (b *breachList) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// wire has the connections of all attackers.
var wire = &http.Transport{MaxIdleConnsPerHost: 16}
