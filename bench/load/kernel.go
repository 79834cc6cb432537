//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The cores that the compared servers and the driver have to themselves.
const (
	serverCore = 0
	driverCore = 1
)

// tick is the unit of times in /proc/PID/stat: USER_HZ is 100 on every architecture that Go runs on (proc(5)).
const tick = 10 * time.Millisecond

// startOn starts a command on one core. A child has the affinity of the thread that forks it, and so have all threads that it makes.
func startOn(core int, command *exec.Cmd) (err error) {
	if core < 0 {
		return command.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.SchedSetaffinity(0, &before)) }()
	one := cores(core)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	return command.Start()
}

func cores(list ...int) (set unix.CPUSet) {
	for _, core := range list {
		set.Set(core)
	}
	return set
}

// pinDriver moves all threads of this process to the driver's core, and returns what takes them back.
func pinDriver() (unpin func() error, err error) {
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, err
	}
	if !before.IsSet(serverCore) || !before.IsSet(driverCore) {
		return nil, fmt.Errorf("the driver wants cores %d and %d, and may not use both", serverCore, driverCore)
	}
	procs := runtime.GOMAXPROCS(1)
	one := cores(driverCore)
	if err := moveThreads(&one); err != nil {
		return nil, err
	}
	return func() error {
		runtime.GOMAXPROCS(procs)
		return moveThreads(&before)
	}, nil
}

func moveThreads(to *unix.CPUSet) error {
	for range 2 { // a thread made during the first pass by one not yet moved is moved in the second
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(id, to); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return nil
}

// cpuTime returns the time that a process has spent in user and kernel mode.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(stat)
}

// parseStat adds fields 14 and 15 of /proc/PID/stat. Field 2, the program's name in parentheses, may hold anything.
func parseStat(stat []byte) (time.Duration, error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // from field 3 on
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat has too few fields")
	}
	user, userErr := strconv.ParseInt(fields[11], 10, 64)
	system, systemErr := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick, errors.Join(userErr, systemErr)
}

// residentSize returns the resident set of a process in bytes.
func residentSize(pid int) (int64, error) {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0, errors.New("/proc/PID/statm has too few fields")
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}
