package policy

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// instant is a moment: seconds since the Unix epoch and a fraction of a second as digits, so that no precision is lost.
type instant struct {
	seconds  int64
	fraction string // without trailing zeros
}

//lint:ignore U1000 called through the constraint of ordered
func (i instant) compare(j instant) int {
	return cmp.Or(cmp.Compare(i.seconds, j.seconds), cmp.Compare(i.fraction, j.fraction))
}

// parseInstant reads the W3C profile of ISO 8601 (YYYY-MM, YYYY-MM-DD, YYYY-MM-DDThh:mm[:ss[.s]]TZD) or epoch seconds. A text
// of digits only is always epoch seconds, also when it has four of them and could be a year.
func parseInstant(s string) (instant, bool) {
	if allDigits(strings.TrimPrefix(s, "-")) {
		seconds, err := strconv.ParseInt(s, 10, 64)
		return instant{seconds: seconds}, err == nil
	}
	date, clock, hasClock := strings.Cut(s, "T")
	year, month, day, ok := parseDate(date)
	if !ok || hasClock && len(date) != len("2006-01-02") {
		return instant{}, false
	}
	midnight := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if midnight.Day() != day {
		return instant{}, false // 30 February
	}
	i := instant{seconds: midnight.Unix()}
	if !hasClock {
		return i, true
	}
	seconds, fraction, ok := parseClock(clock)
	return instant{i.seconds + seconds, fraction}, ok
}

// parseDate reads YYYY-MM or YYYY-MM-DD.
func parseDate(s string) (year, month, day int, ok bool) {
	if len(s) != len("2006-01") && len(s) != len("2006-01-02") || s[4] != '-' {
		return 0, 0, 0, false
	}
	year, month, day = decimal(s[:4]), decimal(s[5:7]), 1
	if len(s) == len("2006-01-02") {
		if s[7] != '-' {
			return 0, 0, 0, false
		}
		day = decimal(s[8:])
	}
	return year, month, day, year >= 0 && month >= 1 && month <= 12 && day >= 1 && day <= 31
}

// parseClock reads hh:mm[:ss[.s]] and the zone that must follow, and returns the seconds since midnight UTC.
func parseClock(s string) (seconds int64, fraction string, ok bool) {
	if len(s) < len("15:04Z") || s[2] != ':' {
		return 0, "", false
	}
	hour, minute, second := decimal(s[:2]), decimal(s[3:5]), 0
	s = s[5:]
	if s[0] == ':' {
		if len(s) < len(":05Z") {
			return 0, "", false
		}
		second, s = decimal(s[1:3]), s[3:]
		if s[0] == '.' {
			digits := 0
			for digits+1 < len(s) && s[digits+1] >= '0' && s[digits+1] <= '9' {
				digits++
			}
			if digits == 0 {
				return 0, "", false
			}
			fraction, s = strings.TrimRight(s[1:digits+1], "0"), s[digits+1:]
		}
	}
	offset, ok := parseZone(s)
	if !ok || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 {
		return 0, "", false
	}
	return int64(hour*3600+minute*60+second) - offset, fraction, true
}

// parseZone reads Z or +hh:mm and returns the seconds east of UTC.
func parseZone(s string) (int64, bool) {
	if s == "Z" {
		return 0, true
	}
	if len(s) != len("+00:00") || s[3] != ':' || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	hours, minutes := decimal(s[1:3]), decimal(s[4:])
	if hours < 0 || hours > 23 || minutes < 0 || minutes > 59 {
		return 0, false
	}
	offset := int64(hours*3600 + minutes*60)
	if s[0] == '-' {
		offset = -offset
	}
	return offset, true
}

// decimal reads a few digits, and returns -1 when s holds anything else.
func decimal(s string) int {
	if !allDigits(s) {
		return -1
	}
	n := 0
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return n
}
