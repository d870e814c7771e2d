package cron

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	robfig "github.com/robfig/cron/v3"
)

// parse reads one expression. Its errors are what SyntaxError.Msg says.
func parse(loc *time.Location, expr string) (rule, error) {
	fields := strings.Fields(expr)
	switch {
	case len(fields) == 0:
		return nil, errors.New("it is empty")
	case hasZone(fields[0]):
		return nil, errors.New("a zone inside the expression is not accepted: set `timezone:` of the job")
	case !strings.HasPrefix(fields[0], "@"):
		return parseFields(fields)
	}
	name := strings.ToLower(fields[0])
	if name == "@every" {
		return parseEvery(loc, fields[1:])
	}
	if name == "@reboot" {
		return nil, errors.New("@reboot names no time; what was missed while the machine was off is made up by `catch_up:` of the job")
	}
	standsFor, ok := descriptors()[name]
	if !ok {
		return nil, fmt.Errorf("%s is not known; known are @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually and @every", fields[0])
	}
	if len(fields) > 1 {
		return nil, fmt.Errorf("nothing may follow %s", fields[0])
	}
	return parseFields(strings.Fields(standsFor))
}

func hasZone(field string) bool {
	name, _, found := strings.Cut(strings.ToUpper(field), "=")
	return found && (name == "TZ" || name == "CRON_TZ")
}

func descriptors() map[string]string {
	return map[string]string{
		"@hourly":   "0 * * * *",
		"@daily":    "0 0 * * *",
		"@midnight": "0 0 * * *",
		"@weekly":   "0 0 * * 0",
		"@monthly":  "0 0 1 * *",
		"@yearly":   "0 0 1 1 *",
		"@annually": "0 0 1 1 *",
	}
}

// parseFields reads five or six fields.
func parseFields(fields []string) (rule, error) {
	if len(fields) == 5 {
		fields = append([]string{"0"}, fields...)
	}
	if len(fields) != 6 {
		return nil, fmt.Errorf("it has %d fields, and needs 5 (minute, hour, day of month, month, day of week), or 6 with seconds first", len(fields))
	}
	var (
		t   times
		err error
	)
	for i, f := range []struct {
		name   string
		option robfig.ParseOption
		bits   *uint64
	}{
		{"second", robfig.Second, &t.second},
		{"minute", robfig.Minute, &t.minute},
		{"hour", robfig.Hour, &t.hour},
		{"day of month", robfig.Dom, &t.dom},
		{"month", robfig.Month, &t.month},
		{"day of week", robfig.Dow, &t.dow},
	} {
		if *f.bits, err = parseField(fields[i], f.option); err != nil {
			return nil, fmt.Errorf("%s %q: %w", f.name, fields[i], err)
		}
	}
	t.everyHour = t.hour == 1<<24-1
	t.interval = t.everyHour || isWild(fields[0]) || isWild(fields[1])
	t.eitherDay = !isWild(fields[3]) && !isWild(fields[5])
	if !t.everFires() {
		return nil, errors.New("it never fires: there is no such day")
	}
	return &t, nil
}

// isWild is Vixie cron's test: "*/2" and "*/100,1-7" are wild, "1,*" is not.
func isWild(field string) bool { return strings.HasPrefix(field, "*") || strings.HasPrefix(field, "?") }

// parseField returns the values of one field as bits.
func parseField(field string, option robfig.ParseOption) (uint64, error) {
	elements := strings.Split(field, ",")
	for i, e := range elements {
		if !wellFormed(e) {
			return 0, fmt.Errorf("%q is not a number, a name, a range, * or one of these with a step", e)
		}
		if option == robfig.Dow {
			elements[i] = sundayIs0(e)
		}
	}
	parsed, err := parseSafely(robfig.NewParser(option), strings.Join(elements, ","))
	if err != nil {
		return 0, err
	}
	const star = 1 << 63 // robfig's mark of a field with *
	switch option {
	case robfig.Second:
		return parsed.Second &^ star, nil
	case robfig.Minute:
		return parsed.Minute &^ star, nil
	case robfig.Hour:
		return parsed.Hour &^ star, nil
	case robfig.Dom:
		return parsed.Dom &^ star, nil
	case robfig.Month:
		return parsed.Month &^ star, nil
	default:
		return parsed.Dow &^ star, nil
	}
}

// parseSafely keeps a panic of the library from ending the process. It has
// panicked on short input before; nothing known that passes wellFormed does.
func parseSafely(p robfig.Parser, field string) (spec *robfig.SpecSchedule, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("it cannot be read")
		}
	}()
	parsed, err := p.Parse(field)
	if err != nil {
		return nil, err
	}
	return parsed.(*robfig.SpecSchedule), nil
}

// wellFormed holds one element of a list against the grammar, as the library
// takes "*-5", "+5" and empty elements without a word.
func wellFormed(element string) bool {
	body, step, stepped := strings.Cut(element, "/")
	if stepped && !isNumber(step) {
		return false
	}
	if body == "*" || body == "?" {
		return true
	}
	low, high, isRange := strings.Cut(body, "-")
	return isValue(low) && (!isRange || isValue(high))
}

func isValue(s string) bool { return isNumber(s) || isName(s) }

func isNumber(s string) bool {
	return len(s) >= 1 && len(s) <= 4 && strings.Trim(s, "0123456789") == ""
}

func isName(s string) bool {
	return len(s) == 3 && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz") == ""
}

// sundayIs0 rewrites a well-formed element of the day of week, because the
// library knows Sunday as 0 only: "7", "5-7" and "fri-sun" become lists.
func sundayIs0(element string) string {
	body, step, stepped := strings.Cut(element, "/")
	low, high, isRange := strings.Cut(body, "-")
	from, ok := weekday(low)
	if !ok {
		return element // * or a mistake, which the library will find
	}
	if !isRange {
		if from == 7 {
			return "0" // also with a step: there is no day after it
		}
		return element
	}
	to, ok := weekday(high)
	if strings.EqualFold(high, "sun") && from > 0 {
		to = 7
	}
	if !ok || to != 7 || from > to {
		return element
	}
	by := 1
	if stepped {
		by, _ = strconv.Atoi(step)
	}
	if by == 0 {
		return element
	}
	var days []string
	for day := from; day <= to; day += by {
		days = append(days, strconv.Itoa(day%7))
	}
	return strings.Join(days, ",")
}

// weekday reads a number from 0 to 7 or a name.
func weekday(s string) (int, bool) {
	if n, err := strconv.Atoi(s); err == nil {
		return n, n >= 0 && n <= 7
	}
	i := strings.Index("sunmontuewedthufrisat", strings.ToLower(s))
	return i / 3, i >= 0 && i%3 == 0 && len(s) == 3
}
