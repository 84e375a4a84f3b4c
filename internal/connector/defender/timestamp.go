package defender

import "time"

// parseTime reads the forms in which Defender writes time: RFC 3339 with any number of fractional digits, the same with
// a blank instead of the T and without a zone, which means UTC, and a bare date. Anything else, and a year before 1970
// (the API writes 0001-01-01 for "unknown"), is the zero time.
func parseTime(b []byte) time.Time {
	if len(b) < 10 || len(b) > 40 || b[4] != '-' || b[7] != '-' {
		return time.Time{}
	}
	year, month, day := digits(b[0:4]), digits(b[5:7]), digits(b[8:10])
	var hour, minute, second, nanosecond, offset int
	if rest := b[10:]; len(rest) > 0 {
		if len(rest) < 9 || (rest[0] != 'T' && rest[0] != 't' && rest[0] != ' ') || rest[3] != ':' || rest[6] != ':' {
			return time.Time{}
		}
		hour, minute, second = digits(rest[1:3]), digits(rest[4:6]), digits(rest[7:9])
		nanosecond, rest = fraction(rest[9:])
		offset = zone(rest)
	}
	if year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
		minute < 0 || minute > 59 || second < 0 || second > 60 || nanosecond < 0 || offset == badZone {
		return time.Time{}
	}
	at := time.Date(year, time.Month(month), day, hour, minute, second, nanosecond, time.UTC)
	if at.Day() != day && second < 60 { // the 31st of a shorter month
		return time.Time{}
	}
	if at = at.Add(-time.Duration(offset) * time.Second); at.Year() < 1970 {
		return time.Time{}
	}
	return at
}

// digits reads a fixed number of decimal digits, -1 if anything else is among them.
func digits(b []byte) int {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// fraction reads an optional fraction of a second as nanoseconds and returns what follows; -1 for a lone point.
func fraction(b []byte) (nanoseconds int, rest []byte) {
	if len(b) == 0 || b[0] != '.' {
		return 0, b
	}
	scale, i := 100_000_000, 1
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		nanoseconds += int(b[i]-'0') * scale
		scale /= 10
	}
	if i == 1 {
		return -1, b
	}
	return nanoseconds, b[i:]
}

const badZone = 1 << 30

// zone reads Z, nothing, or an offset as seconds east of UTC.
func zone(b []byte) int {
	if len(b) == 0 || (len(b) == 1 && (b[0] == 'Z' || b[0] == 'z')) {
		return 0
	}
	if len(b) != 6 || b[3] != ':' || (b[0] != '+' && b[0] != '-') {
		return badZone
	}
	hours, minutes := digits(b[1:3]), digits(b[4:6])
	if hours < 0 || hours > 23 || minutes < 0 || minutes > 59 {
		return badZone
	}
	offset := hours*3600 + minutes*60
	if b[0] == '-' {
		return -offset
	}
	return offset
}
