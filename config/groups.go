package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// maxGroupsFile is the maximum size of a groups_file, in bytes: a few hundred thousand ids.
const maxGroupsFile = 4 << 20

// checkGroups reads the groups_file and checks that level and groups fit together.
func (d *decoder) checkGroups(path string, f *Feed) {
	var given []string
	for _, way := range []struct {
		key  string
		used bool
	}{
		{"groups", d.given(join(path, "groups"))},
		{"groups_file", f.GroupsFile != ""},
		{"group_search", f.GroupSearch != ""},
	} {
		if way.used || d.failed[join(path, way.key)] {
			given = append(given, way.key)
		}
	}
	level := join(path, "level")
	if f.Level == "" && len(given) > 0 && !d.failed[level] {
		f.Level = LevelGroup
	}
	switch {
	case d.failed[level]:
	case f.Level == "":
		d.problemAt(level, "missing; expected system or patient, or groups with Group ids")
	case f.Level == LevelGroup && len(given) == 0:
		d.problemAt(join(path, "groups"), "missing; level group requires at least one id here, or groups_file or group_search")
	case f.Level != LevelGroup && len(given) > 0:
		d.problemAt(join(path, given[0]), "is not used with level %s; use level group, or remove %s", f.Level, given[0])
		return
	}
	if len(given) > 1 {
		d.problemAt(join(path, given[1]), "%s is also set; set only one of groups, groups_file and group_search", given[0])
		return
	}
	if slices.Contains(given, "groups_file") && !d.failed[join(path, "groups_file")] {
		f.GroupsFile = d.resolved(f.GroupsFile)
		f.Groups = d.readGroups(join(path, "groups_file"), f.GroupsFile)
	}
}

// readGroups reads ids, one per line. It returns an id that the file has twice only once.
// Messages quote nothing from the file, which may have been named by mistake.
func (d *decoder) readGroups(path, file string) []string {
	data, _, err := readFile(file, maxGroupsFile)
	if err != nil {
		d.problemAt(path, "cannot read the file: %v; expected the path of a file with one Group id per line (relative paths start at the folder of the config file)", err)
		return nil
	}
	id := fieldOf[Feed]("groups")
	var groups []string
	first := map[string]int{} // the line of each id
	var wrong, twice []int    // lines
	number := 0
	for line := range bytes.Lines(bytes.TrimPrefix(data, []byte("\ufeff"))) { // Windows writes a byte order mark
		number++
		text, _, _ := strings.Cut(string(line), "#")
		text = strings.TrimSpace(text)
		switch {
		case text == "":
		case !id.pattern.MatchString(text):
			wrong = append(wrong, number)
		case first[text] > 0:
			twice = append(twice, number)
		default:
			first[text] = number
			groups = append(groups, text)
		}
	}
	switch {
	case len(wrong) > 0:
		d.problemAt(path, "%s of the file: not a Group id; expected %s, one per line", atLine(wrong), id.want)
	case len(groups) == 0:
		d.problemAt(path, "the file names no group; expected one Group id per line")
	}
	if len(twice) > 0 {
		d.warnAt(path, "%s of the file: the id is already listed above; it is exported only once", atLine(twice))
	}
	return groups
}

// atLine names the first of the lines, and how many more there are.
func atLine(lines []int) string {
	switch more := len(lines) - 1; more {
	case 0:
		return fmt.Sprintf("line %d", lines[0])
	case 1:
		return fmt.Sprintf("lines %d and %d", lines[0], lines[1])
	default:
		return fmt.Sprintf("line %d and %d more", lines[0], more)
	}
}
