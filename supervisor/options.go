package supervisor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxOptions is far more than any options take.
const maxOptions = 1 << 20

// readOptions returns the app's options as entries of an environment.
func readOptions(path string) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the app's options, which the Supervisor writes before each start: %w", err)
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxOptions+1))
	if err != nil {
		return nil, fmt.Errorf("reading the app's options: %w", err)
	}
	if len(content) > maxOptions {
		return nil, fmt.Errorf("reading the app's options: %s has more than 1 MB", path)
	}
	settings, err := parseOptions(content)
	if err != nil {
		return nil, fmt.Errorf("the app's options in %s: %w: save them again in Home Assistant, on the app's page under Configuration", path, err)
	}
	return settings, nil
}

var optionName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// parseOptions reads a JSON object of options: texts, numbers, yes or no, and
// lists of texts. An option that is empty counts as not set. The settings are in
// the order of their names. Errors do not show values, which can be passwords.
func parseOptions(content []byte) (settings []string, err error) {
	dec := json.NewDecoder(bytes.NewReader(content))
	dec.UseNumber()
	var options map[string]any
	if err := dec.Decode(&options); err != nil {
		return nil, errNotJSON
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) || options == nil {
		return nil, errNotJSON
	}
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if !optionName.MatchString(name) {
			return nil, fmt.Errorf("%.70q is not the name of an option", name)
		}
		value, ok := optionText(options[name])
		if !ok {
			return nil, fmt.Errorf("the option %s is neither a text nor a number, yes or no, or a list of texts", name)
		}
		if value != "" {
			settings = append(settings, prefix+strings.ToUpper(name)+"="+value)
		}
	}
	return settings, nil
}

var errNotJSON = errors.New("not a JSON object")

// optionText writes the value of an option as a variable has it.
func optionText(value any) (text string, ok bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	case []any:
		var items []string
		for _, item := range v {
			s, isText := item.(string)
			if !isText {
				return "", false
			}
			items = append(items, s)
		}
		return strings.Join(items, ","), true
	}
	return "", false
}
