# SPDX-License-Identifier: MIT
#
# walfs: one Makefile, no configure step. "make help" lists the targets.
#
# Knobs, for the command line or the environment:
#
#   CC=gcc           the C compiler (CLANG=clang: the one for fuzz programs)
#   CFLAGS=-O2 -g    optimisation and debugging; CPPFLAGS and LDFLAGS are added too
#   SANITIZE=        address,undefined or thread; give each a BUILD of its own
#   WERROR=1         0: warnings do not fail the build
#   BUILD=build      where everything that is made goes
#   SHARED=          1: walfs and walctl use libwal.so.0, as packages want it; the build
#                    tree then needs LD_LIBRARY_PATH. Without it they have libwal in them
#   PREFIX=/usr/local, LIBDIR=PREFIX/lib, DESTDIR=      where "make install" puts things
#   ZSHDIR=PREFIX/share/zsh/site-functions
#   UNITDIR=PREFIX/lib/systemd/system      where it puts walfs@.service
#   V=               1: show the commands
#
# Changed knobs rebuild what they touch.

ifeq ($(origin CC),default)
CC = gcc
endif
CLANG ?= clang
CFLAGS ?= -O2 -g
SANITIZE ?=
WERROR ?= 1
BUILD ?= build
SHARED ?=
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
DESTDIR ?=
UNITDIR ?= $(PREFIX)/lib/systemd/system
V ?=

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

ifeq ($(V),1)
Q :=
say :=
else
Q := @
say = @printf '  %-7s %s\n' '$(1)' '$(2)';
endif

# --- flags -------------------------------------------------------------------

# No strict aliasing: segments are bytes that are looked at as structures, and a
# program whose one job is to get bytes right should not depend on which of these
# looks the compiler may assume not to overlap. It costs nothing that we measure.
DIALECT := -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -fno-strict-aliasing
INCLUDES := -Iinclude -I.
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wcast-qual -Wwrite-strings -Wvla -Wformat=2 $(if $(filter 1,$(WERROR)),-Werror)

# gcc exempts functions that take a va_list from this one, clang does not.
ifneq ($(findstring clang,$(CC)),)
WARNINGS += -Wno-format-nonliteral
endif

# Hardening that costs next to nothing. _FORTIFY_SOURCE needs an optimising
# compiler, and sanitizers bring better checks of their own.
HARDENING := -fPIE -fstack-protector-strong -fstack-clash-protection
ifeq ($(SANITIZE),)
HARDENING += $(if $(filter -O1 -O2 -O3 -Os -Og -Ofast,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
else
# Assertions are real in these (core/base/assert.h).
SANITIZER := -DWAL_CHECKED -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
endif

COMPILE = $(CC) $(DIALECT) $(INCLUDES) $(CPPFLAGS) $(WARNINGS) $(HARDENING) $(SANITIZER) $(CFLAGS)
LINK = $(CC) $(CFLAGS) $(SANITIZER) -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed $(LDFLAGS)

# --- what is needed of the system --------------------------------------------

comma := ,
pkg_cflags = $(shell pkg-config --cflags $(1) 2>/dev/null)
pkg_libs = $(shell pkg-config --libs $(1) 2>/dev/null)

FUSE_CFLAGS := $(call pkg_cflags,fuse3)
FUSE_LIBS := $(call pkg_libs,fuse3)
JANSSON_CFLAGS := $(call pkg_cflags,jansson)
JANSSON_LIBS := $(call pkg_libs,jansson)
PCRE2_CFLAGS := $(call pkg_cflags,libpcre2-8)
PCRE2_LIBS := $(call pkg_libs,libpcre2-8)
CHECK_CFLAGS := $(call pkg_cflags,check)
CHECK_LIBS := $(call pkg_libs,check)
# xxhash is compiled in (XXH_INLINE_ALL) for short inputs; for long ones its library
# chooses by the processor (core/format/checksum.c).
XXHASH_CFLAGS := $(call pkg_cflags,libxxhash)
XXHASH_LIBS := $(call pkg_libs,libxxhash)

DEBIAN_fuse3 := libfuse3-dev
DEBIAN_jansson := libjansson-dev
DEBIAN_libpcre2-8 := libpcre2-dev
DEBIAN_check := check
DEBIAN_libxxhash := libxxhash-dev

# The oldest that do: README.md says them, too, and why.
MIN_fuse3 := 3.10
MIN_jansson := 2.11
MIN_libpcre2-8 := 10.34
MIN_libxxhash := 0.8.1
MIN_check := 0.15
MIN_glibc := 2.34

need-%: need-libc
	@command -v pkg-config >/dev/null || { \
	    echo "walfs: there is no pkg-config; on Debian: apt-get install pkg-config" >&2; exit 1; }
	@pkg-config --exists $* || { \
	    echo "walfs: pkg-config finds no $*; on Debian: apt-get install $(DEBIAN_$*)" \
	         "(./scripts/setup installs all that is missing)" >&2; exit 1; }
	@pkg-config --atleast-version=$(MIN_$*) $* || { \
	    echo "walfs: $* $$(pkg-config --modversion $*) is too old: this needs $(MIN_$*) or newer" \
	         "(README.md lists what is needed)" >&2; exit 1; }

# (Another C library than glibc is not asked for its version.)
need-libc: export LIBC_TEXT = \#include <features.h>\n\#if defined(__GLIBC__) \
	&& !__GLIBC_PREREQ($(subst .,$(comma),$(MIN_glibc)))\n\#error\n\#endif\n
need-libc:
	@command -v $(firstword $(CC)) >/dev/null || { \
	    echo "walfs: there is no $(firstword $(CC)); on Debian: apt-get install gcc libc6-dev" >&2; exit 1; }
	@printf "$$LIBC_TEXT" | $(CC) -E -x c - >/dev/null 2>&1 || { \
	    echo "walfs: $(firstword $(CC)) finds no C library, or a glibc that is too old: this needs" \
	         "$(MIN_glibc) or newer; on Debian: apt-get install libc6-dev" >&2; exit 1; }

need-clang:
	@command -v $(CLANG) >/dev/null || { \
	    echo "walfs: there is no $(CLANG); on Debian: apt-get install clang libclang-rt-dev" >&2; exit 1; }

# --- sources -----------------------------------------------------------------

# The rooms of core, each of which knows those before it; scripts/check-layers reads this.
ROOMS := base format store segment recovery verify copy log
CORE_SRC := $(foreach room,$(ROOMS),$(wildcard core/$(room)/*.c))
WALCTL_SRC := $(wildcard core/walctl/*.c)
FS_SRC := $(wildcard fs/*.c)
TEST_SRC := $(wildcard tests/test_*.c)
FUZZ_SRC := $(wildcard tests/fuzz_*.c)
FIXTURE_SRC := $(wildcard tests/fixture_*.c)
SUPPORT_SRC := $(filter-out $(TEST_SRC) $(FUZZ_SRC) $(FIXTURE_SRC),$(wildcard tests/*.c))
HELPER_SRC := $(wildcard tests/walctl/*.c tests/mount/*.c)
# tests/bench/X.c becomes tests/bench_X; bench*.c there is what they share, and
# peer_*.c measures other logs, which only "make bench-peers" needs.
BENCH_SHARED := $(wildcard tests/bench/bench*.c)
PEER_SRC := $(wildcard tests/bench/peer_*.c)
BENCH_SRC := $(filter-out $(BENCH_SHARED) $(PEER_SRC),$(wildcard tests/bench/*.c))

# Sources from outside core that one test looks at: EXTRA_test_x := fs/y.c
EXTRA_test_frame := $(wildcard fs/frame.c)
EXTRA_test_telemetry := $(wildcard fs/opstats.c)
EXTRA_test_busy_poll := fs/busy_poll.c
EXTRA_test_lock_table := fs/lock_set.c fs/lock_waits.c fs/lock_space.c fs/intervals.c fs/table.c
EXTRA_test_mounts := fs/mounts.c
EXTRA_test_handles := fs/handles.c fs/sequential.c fs/table.c
EXTRA_test_node := fs/node.c
EXTRA_test_sequential := fs/sequential.c fs/table.c
EXTRA_test_probes := fs/probes.c
EXTRA_test_workers := fs/workers.c fs/opstats.c
EXTRA_test_when := core/walctl/when.c

# fixture(NAME, TESTS): tests/fixture_NAME.c is what these share, and no other test has.
fixture = $(foreach test,$(2),$(eval EXTRA_$(test) += tests/fixture_$(1).c))
$(call fixture,log,$(filter test_log test_log_%,$(TEST_SRC:tests/%.c=%)))
$(call fixture,segment_writer,$(addprefix test_segment_,begin pages seal settle writer))
$(call fixture,recovery,test_recovery test_recovery_cut test_recovery_edges)
$(call fixture,verify,$(addprefix test_verify_,faults segment states store))

object = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
CORE_OBJ := $(call object,$(CORE_SRC))
WALCTL_OBJ := $(call object,$(WALCTL_SRC))
FS_OBJ := $(call object,$(FS_SRC))
TEST_OBJ := $(call object,$(TEST_SRC))
SUPPORT_OBJ := $(call object,$(SUPPORT_SRC))
FIXTURE_OBJ := $(call object,$(FIXTURE_SRC))
HELPER_OBJ := $(call object,$(HELPER_SRC))
BENCH_OBJ := $(call object,$(BENCH_SRC) $(BENCH_SHARED) $(PEER_SRC))
FUZZ_WITH := $(CORE_SRC) $(wildcard tests/oracle*.c)
# What one of them has besides, from outside core.
FUZZ_WITH_options := fs/command_line.c fs/help.c fs/options.c fs/values.c
FUZZ_OBJ := $(patsubst %.c,$(BUILD)/fuzz/obj/%.o,$(FUZZ_WITH) $(FUZZ_WITH_options) $(FUZZ_SRC))

LIBWAL := $(BUILD)/libwal.a
SONAME := libwal.so.0
# Not of instrumented objects, whose run-time library a program brings.
LIBWAL_SO := $(if $(SANITIZE),,$(BUILD)/$(SONAME))
PROGRAMS := $(if $(FS_SRC),$(BUILD)/walfs) $(if $(WALCTL_SRC),$(BUILD)/walctl)
TESTS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(TEST_SRC))
HELPERS := $(addprefix $(BUILD)/tests/,$(basename $(notdir $(HELPER_SRC)))) \
	$(addprefix $(BUILD)/tests/bench_,$(basename $(notdir $(BENCH_SRC))))
FUZZERS := $(patsubst tests/%.c,$(BUILD)/fuzz/%,$(FUZZ_SRC))
MANUALS := $(wildcard docs/*.[1-8])
MANUAL_SECTIONS := $(sort $(patsubst .%,%,$(suffix $(MANUALS))))

# --- building ----------------------------------------------------------------

.PHONY: all
all: $(LIBWAL) $(LIBWAL_SO) $(PROGRAMS) ## walfs, walctl, libwal.a and libwal.so.0 in build/ (the default)

# Rewritten only when its text changes, so that what depends on it is made again
# exactly when a flag, or the list of sources, is another one.
STAMP = mkdir -p $(@D) && { printf '%s\n' "$$STAMP_TEXT" | cmp -s - $@ || \
	printf '%s\n' "$$STAMP_TEXT" >$@; }

$(BUILD)/flags: export STAMP_TEXT = $(COMPILE) | $(LINK) | $(FUSE_CFLAGS) $(JANSSON_CFLAGS) $(PCRE2_CFLAGS) \
	$(CHECK_CFLAGS) $(XXHASH_CFLAGS) | $(FUZZ_COMPILE)
$(BUILD)/flags: FORCE
	@$(STAMP)

$(BUILD)/sources: export STAMP_TEXT = $(CORE_SRC) $(WALCTL_SRC) $(FS_SRC) $(SUPPORT_SRC)
$(BUILD)/sources: FORCE
	@$(STAMP)

$(BUILD)/linkage: export STAMP_TEXT = $(PROGRAM_LIBWAL)
$(BUILD)/linkage: FORCE
	@$(STAMP)

.PHONY: FORCE
FORCE:

$(BUILD)/obj/%.o: %.c $(BUILD)/flags Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)$(COMPILE) $(PKG_CFLAGS) -MMD -MP -c -o $@ $<

# core never sees FUSE's headers: they are not on its include path. Its objects are for both
# libraries: what of -fPIC would cost, a function that is not inlined as another library might
# replace it, goes with the second option, and the linker turns the rest into direct calls.
$(CORE_OBJ): PKG_CFLAGS = -fPIC -fno-semantic-interposition -pthread $(XXHASH_CFLAGS)
$(CORE_OBJ): | need-libxxhash
$(WALCTL_OBJ): PKG_CFLAGS = $(JANSSON_CFLAGS) $(PCRE2_CFLAGS)
$(WALCTL_OBJ): | need-jansson need-libpcre2-8
$(FS_OBJ): PKG_CFLAGS = -pthread $(FUSE_CFLAGS) $(JANSSON_CFLAGS) $(XXHASH_CFLAGS)
$(FS_OBJ): | need-fuse3 need-jansson need-libxxhash
$(TEST_OBJ) $(SUPPORT_OBJ) $(FIXTURE_OBJ): PKG_CFLAGS = -pthread $(CHECK_CFLAGS) $(XXHASH_CFLAGS)
$(TEST_OBJ) $(SUPPORT_OBJ) $(FIXTURE_OBJ): | need-check
# They look at a part of the daemon, whose header wants FUSE's.
LOOK_AT_FS := $(call object,tests/test_frame.c tests/test_handles.c tests/test_node.c tests/test_workers.c)
$(LOOK_AT_FS): PKG_CFLAGS += $(FUSE_CFLAGS)
$(LOOK_AT_FS): | need-fuse3
$(HELPER_OBJ) $(BENCH_OBJ): PKG_CFLAGS = -pthread $(XXHASH_CFLAGS)

$(BUILD)/libwal.a: $(CORE_OBJ) $(BUILD)/sources
	$(call say,AR,$@)rm -f $@ && ar rcs $@ $(CORE_OBJ)

link = $(call say,LD,$@)$(LINK) -o $@ $(filter %.o %.a %/$(SONAME),$^) $(1)

# What core/libwal.map does not name stays inside, and no call within goes through a table.
$(BUILD)/$(SONAME): $(CORE_OBJ) core/libwal.map $(BUILD)/sources
	$(call say,LD,$@)$(filter-out -pie,$(LINK)) -shared -Wl,-soname,$(SONAME),-z,defs \
		-Wl,--version-script,core/libwal.map,-Bsymbolic-functions -o $@ $(CORE_OBJ) \
		-pthread $(XXHASH_LIBS)

PROGRAM_LIBWAL := $(if $(SHARED),$(BUILD)/$(SONAME),$(LIBWAL))

$(BUILD)/walctl: $(WALCTL_OBJ) $(PROGRAM_LIBWAL) $(BUILD)/sources $(BUILD)/linkage
	$(call link,-pthread $(JANSSON_LIBS) $(PCRE2_LIBS) $(XXHASH_LIBS))

$(BUILD)/walfs: $(FS_OBJ) $(PROGRAM_LIBWAL) $(BUILD)/sources $(BUILD)/linkage
	$(call link,-pthread $(FUSE_LIBS) $(JANSSON_LIBS) $(XXHASH_LIBS))

# --- tests -------------------------------------------------------------------

.PHONY: tests
tests: $(TESTS) $(HELPERS) ## the test and measuring programs, not run

define test_program
$(BUILD)/tests/$(1): $(call object,tests/$(1).c $(EXTRA_$(1))) $(SUPPORT_OBJ) $(LIBWAL) $(BUILD)/sources
	@mkdir -p $$(@D)
	$$(call link,-pthread $(CHECK_LIBS) $(XXHASH_LIBS))
endef
$(foreach test,$(notdir $(TESTS)),$(eval $(call test_program,$(test))))
# It asks walctl.
$(BUILD)/tests/test_outlook: | $(BUILD)/walctl

# helper_program(NAME, SOURCE)
define helper_program
$(BUILD)/tests/$(1): $(call object,$(2)) $(LIBWAL) $(BUILD)/sources
	@mkdir -p $$(@D)
	$$(call link,-pthread $(XXHASH_LIBS))
endef
$(foreach source,$(HELPER_SRC),$(eval \
	$(call helper_program,$(basename $(notdir $(source))),$(source))))

# --- measuring: the programs of tests/bench --------------------------------------

# The daemon's own loop, without the daemon.
EXTRA_bench_noop_fs := $(filter-out fs/main.c,$(FS_SRC))
$(BUILD)/tests/bench_noop_fs: BENCH_LIBS = $(FUSE_LIBS) $(JANSSON_LIBS)
$(call object,tests/bench/noop_fs.c): PKG_CFLAGS += $(FUSE_CFLAGS)
$(call object,tests/bench/noop_fs.c): | need-fuse3 need-jansson

# bench_program(NAME, SOURCE); BENCH_LIBS is the program's own
define bench_program
$(BUILD)/tests/$(1): $(call object,$(2) $(EXTRA_$(1)) $(BENCH_SHARED)) $(LIBWAL) $(BUILD)/sources
	@mkdir -p $$(@D)
	$$(call link,-pthread $(XXHASH_LIBS) $$(BENCH_LIBS))
endef
$(foreach source,$(BENCH_SRC) $(PEER_SRC),$(eval \
	$(call bench_program,bench_$(basename $(notdir $(source))),$(source))))

# The other logs that walfs is measured beside. No test needs them.
$(BUILD)/tests/bench_peer_rocksdb: BENCH_LIBS = -lrocksdb
$(BUILD)/tests/bench_peer_sqlite: BENCH_LIBS = $(call pkg_libs,sqlite3)

# Debian has etcd's wal package as source, below the GOPATH of its Go packages.
$(BUILD)/tests/bench_peer_etcd: tests/bench/peer_etcd/main.go Makefile
	@mkdir -p $(@D)
	$(call say,GO,$@)GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS= go build -o $@ $<

PEERS := $(addprefix $(BUILD)/tests/bench_,$(basename $(notdir $(PEER_SRC))) peer_etcd)

.PHONY: bench-peers
bench-peers: $(PEERS) ## what measures RocksDB, SQLite and etcd's wal (scripts/bench installs them)

.PHONY: bench
bench: ## measure walfs beside its limits and its peers: see scripts/bench -h
	$(Q)scripts/bench

# tests/crash/crash_X.c becomes tests/crash_X; the other sources there are what they share.
CRASH_SRC := $(wildcard tests/crash/crash_*.c)
CRASH_OBJ := $(call object,$(wildcard tests/crash/*.c))
CRASH_SHARED := $(filter-out $(call object,$(CRASH_SRC)),$(CRASH_OBJ))
CRASH_TESTS := $(patsubst tests/crash/%.c,$(BUILD)/tests/%,$(CRASH_SRC))
$(CRASH_OBJ): PKG_CFLAGS = -pthread $(XXHASH_CFLAGS)

tests: $(CRASH_TESTS)

$(CRASH_TESTS): $(BUILD)/tests/%: $(BUILD)/obj/tests/crash/%.o $(CRASH_SHARED) $(LIBWAL) \
		$(BUILD)/sources
	@mkdir -p $(@D)
	$(call link,-pthread $(XXHASH_LIBS))

# Likewise tests/storm/storm_X.c.
STORM_SRC := $(wildcard tests/storm/storm_*.c)
STORM_OBJ := $(call object,$(wildcard tests/storm/*.c))
STORM_SHARED := $(filter-out $(call object,$(STORM_SRC)),$(STORM_OBJ))
STORM_TESTS := $(patsubst tests/storm/%.c,$(BUILD)/tests/%,$(STORM_SRC))
$(STORM_OBJ): PKG_CFLAGS = -pthread $(XXHASH_CFLAGS)

tests: $(STORM_TESTS)

$(STORM_TESTS): $(BUILD)/tests/%: $(BUILD)/obj/tests/storm/%.o $(STORM_SHARED) $(LIBWAL) \
		$(BUILD)/sources
	@mkdir -p $(@D)
	$(call link,-pthread $(XXHASH_LIBS))

.PHONY: check-unit
check-unit: $(TESTS) ## run the unit tests and sum their results (TESTS_RUN=test_log_open: only that)
	$(Q)scripts/run-unit $(if $(TESTS_RUN),$(addprefix $(BUILD)/tests/,$(TESTS_RUN)),$(TESTS))

.PHONY: check-layers
check-layers: all ## core is free of FUSE and prints nothing; fs and walctl use the public API only
	$(Q)scripts/check-layers $(LIBWAL)

.PHONY: format
format: ## format the sources with clang-format 14
	$(Q)scripts/format

# What "make -n" says that it would compile: no other program is needed.
.PHONY: compile_commands.json
compile_commands.json: ## how each source is compiled, for clangd and other tools
	@mkdir -p $(BUILD)
	$(Q)$(MAKE) --no-print-directory -Bn V=1 all tests fuzz | awk -v directory='$(CURDIR)' '\
	    / -c -o / && !seen[$$NF]++ { file = $$NF; gsub(/["\\]/, "\\\\&"); \
		printf "%s{\"directory\": \"%s\", \"file\": \"%s\", \"command\": \"%s\"}", \
		    count++ ? ",\n" : "[\n", directory, file, $$0 } \
	    END { if (!count) exit 1; print "\n]" }' >$(BUILD)/$@ && mv $(BUILD)/$@ $@

# Each source once, and again when it, any header or a check has changed.
HEADERS := $(wildcard include/walfs/*.h core/*/*.h fs/*.h tests/*.h tests/*/*.h)
TIDY := $(patsubst %.c,$(BUILD)/tidy/%.ok,$(CORE_SRC) $(WALCTL_SRC) $(FS_SRC) $(TEST_SRC) \
	$(FUZZ_SRC) $(SUPPORT_SRC) $(HELPER_SRC) $(BENCH_SRC) $(BENCH_SHARED) \
	$(wildcard tests/crash/*.c tests/storm/*.c tests/corpus/*.c))

$(TIDY): $(BUILD)/tidy/%.ok: %.c $(HEADERS) .clang-tidy tests/.clang-tidy | compile_commands.json
	@mkdir -p $(@D)
	$(Q)clang-tidy -p . --quiet $< && touch $@

.PHONY: tidy
tidy: $(TIDY) ## clang-tidy, with the checks of .clang-tidy

.PHONY: lint
lint: ## shellcheck, cppcheck, clang-tidy, manual pages and plain rules of style
	$(Q)scripts/lint

.PHONY: check
check: ## everything: what ./scripts/test runs
	$(Q)scripts/test

# --- fuzzing: core once more, with clang -------------------------------------

FUZZ_SANITIZER := -DWAL_CHECKED -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_COMPILE = $(CLANG) $(DIALECT) $(INCLUDES) $(CPPFLAGS) $(WARNINGS) -O1 -g -pthread \
	-fsanitize=fuzzer-no-link $(FUZZ_SANITIZER)

.PHONY: fuzz
fuzz: $(FUZZERS) $(BUILD)/fuzz/seeds ## the fuzz programs, not run, and their seeds (needs clang)

# Each state of the decision table, as what the fuzz programs begin with.
SEEDS_OBJ := $(call object,tests/corpus/state_seeds.c)
$(SEEDS_OBJ): PKG_CFLAGS = -pthread $(CHECK_CFLAGS)
$(SEEDS_OBJ): | need-check
$(BUILD)/tests/state_seeds: $(SEEDS_OBJ) $(SUPPORT_OBJ) $(LIBWAL) $(BUILD)/sources
	@mkdir -p $(@D)
	$(call link,-pthread $(CHECK_LIBS) $(XXHASH_LIBS))

$(BUILD)/fuzz/seeds: $(BUILD)/tests/state_seeds
	$(Q)rm -rf $@ && mkdir -p $@/fuzz_recovery $@/fuzz_segment
	$(call say,SEEDS,$@)$< $@ >$@/log || { cat $@/log; rm -rf $@; exit 1; }

$(BUILD)/fuzz/obj/%.o: %.c $(BUILD)/flags Makefile
	@mkdir -p $(@D)
	$(call say,CLANG,$<)$(FUZZ_COMPILE) $(XXHASH_CFLAGS) -MMD -MP -c -o $@ $<

$(FUZZ_OBJ): | need-clang need-libxxhash

FUZZ_OPTIONS_OBJ := $(patsubst %.c,$(BUILD)/fuzz/obj/%.o,$(FUZZ_WITH_options))
$(FUZZ_OPTIONS_OBJ) $(BUILD)/fuzz/obj/tests/fuzz_options.o: XXHASH_CFLAGS += $(FUSE_CFLAGS)
$(FUZZ_OPTIONS_OBJ) $(BUILD)/fuzz/obj/tests/fuzz_options.o: | need-fuse3
$(BUILD)/fuzz/fuzz_options: $(FUZZ_OPTIONS_OBJ)
$(BUILD)/fuzz/fuzz_options: FUZZ_LIBS = $(FUSE_LIBS)

$(FUZZERS): $(BUILD)/fuzz/%: $(BUILD)/fuzz/obj/tests/%.o \
		$(patsubst %.c,$(BUILD)/fuzz/obj/%.o,$(FUZZ_WITH)) $(BUILD)/sources
	$(call say,LD,$@)$(CLANG) -fsanitize=fuzzer $(FUZZ_SANITIZER) -pthread -o $@ $(filter %.o,$^) $(FUZZ_LIBS) \
		$(XXHASH_LIBS)

# --- installing --------------------------------------------------------------

VERSION = $(shell sed -n 's/^.define WAL_VERSION "\(.*\)"/\1/p' include/walfs/wal.h)
INSTALL_BIN := $(DESTDIR)$(PREFIX)/bin
INSTALL_LIB := $(DESTDIR)$(LIBDIR)
INSTALL_INC := $(DESTDIR)$(PREFIX)/include/walfs
INSTALL_MAN := $(DESTDIR)$(PREFIX)/share/man
INSTALL_BASH := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
INSTALL_ZSH := $(DESTDIR)$(ZSHDIR)
# For systemd, whose programs look below /usr/local, too; and what is to be copied from.
INSTALL_UNIT := $(DESTDIR)$(UNITDIR)/walfs@.service
INSTALL_SYSUSERS := $(DESTDIR)$(PREFIX)/lib/sysusers.d/walfs.conf
INSTALL_TMPFILES := $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/walfs.conf
INSTALL_SHARE := $(DESTDIR)$(PREFIX)/share/walfs
SHARED_FILES := dist/systemd/example.conf dist/grafana/walfs.json dist/prometheus/walfs.rules.yml

# below(DIRECTORY, PREFIX, NAME): a directory as the .pc file says it, in terms of NAME.
below = $(if $(filter $(2)/%,$(1)),$${$(3)}$(patsubst $(2)%,%,$(1)),$(1))

$(BUILD)/libwal.pc: export PC_TEXT = prefix=$(PREFIX)\nlibdir=$(call below,$(LIBDIR),$(PREFIX),prefix)\n\
	includedir=$${prefix}/include\n\nName: libwal\nDescription: the log behind walfs, as a library\n\
	Version: $(VERSION)\nRequires.private: libxxhash\nCflags: -I$${includedir}\n\
	Libs: -L$${libdir} -lwal\nLibs.private: -pthread
$(BUILD)/libwal.pc: FORCE
	@mkdir -p $(@D)
	@printf '%b\n' "$$PC_TEXT" | sed 's/^[[:space:]]*//' >$@

.PHONY: install
install: all $(BUILD)/libwal.pc ## programs, manual pages, libraries, headers, below DESTDIR and PREFIX
	$(Q)install -d $(INSTALL_BIN) $(INSTALL_LIB)/pkgconfig $(INSTALL_INC) \
	    $(addprefix $(INSTALL_MAN)/man,$(MANUAL_SECTIONS)) $(INSTALL_BASH) $(INSTALL_ZSH)
	$(Q)install -m 0755 $(PROGRAMS) $(INSTALL_BIN)
	$(Q)install -m 0644 $(LIBWAL) $(INSTALL_LIB)
	$(Q)install -m 0644 $(BUILD)/$(SONAME) $(INSTALL_LIB)/libwal.so.$(VERSION)
	$(Q)ln -sf libwal.so.$(VERSION) $(INSTALL_LIB)/$(SONAME)
	$(Q)ln -sf $(SONAME) $(INSTALL_LIB)/libwal.so
	$(Q)install -m 0644 $(BUILD)/libwal.pc $(INSTALL_LIB)/pkgconfig
	$(Q)install -m 0644 include/walfs/wal.h include/walfs/format.h $(INSTALL_INC)
	$(Q)for section in $(MANUAL_SECTIONS); do \
	    install -m 0644 docs/*.$$section $(INSTALL_MAN)/man$$section || exit; done
	$(Q)for program in walfs walctl; do \
	    install -m 0644 completion/$$program.bash $(INSTALL_BASH)/$$program && \
	    install -m 0644 completion/_$$program $(INSTALL_ZSH) || exit; done
	$(Q)install -d $(dir $(INSTALL_UNIT) $(INSTALL_SYSUSERS) $(INSTALL_TMPFILES)) $(INSTALL_SHARE)
	$(Q)sed 's,/usr/bin/walfs,$(PREFIX)/bin/walfs,' dist/systemd/walfs@.service >$(INSTALL_UNIT)
	$(Q)chmod 0644 $(INSTALL_UNIT)
	$(Q)install -m 0644 dist/sysusers/walfs.conf $(INSTALL_SYSUSERS)
	$(Q)install -m 0644 dist/tmpfiles/walfs.conf $(INSTALL_TMPFILES)
	$(Q)install -m 0644 $(SHARED_FILES) $(INSTALL_SHARE)

.PHONY: uninstall
uninstall: ## remove what install put there
	$(Q)rm -f $(INSTALL_BIN)/walfs $(INSTALL_BIN)/walctl $(INSTALL_LIB)/libwal.a \
	    $(INSTALL_LIB)/libwal.so.$(VERSION) $(INSTALL_LIB)/$(SONAME) $(INSTALL_LIB)/libwal.so \
	    $(INSTALL_LIB)/pkgconfig/libwal.pc $(INSTALL_INC)/wal.h $(INSTALL_INC)/format.h \
	    $(foreach manual,$(MANUALS),$(INSTALL_MAN)/man$(patsubst .%,%,$(suffix $(manual)))/$(notdir $(manual))) \
	    $(addprefix $(INSTALL_BASH)/,walfs walctl) $(addprefix $(INSTALL_ZSH)/,_walfs _walctl)
	$(Q)rm -f $(INSTALL_UNIT) $(INSTALL_SYSUSERS) $(INSTALL_TMPFILES) \
	    $(addprefix $(INSTALL_SHARE)/,$(notdir $(SHARED_FILES)))
	$(Q)rmdir $(INSTALL_INC) $(INSTALL_SHARE) 2>/dev/null || true

# Of a copy, since dpkg-buildpackage puts files beside and into what it builds.
DEB_TREE = $(BUILD)/deb/walfs-$(VERSION)
.PHONY: deb
deb: ## Debian packages walfs, libwal0 and libwal-dev in build/deb/
	@command -v dpkg-buildpackage >/dev/null || { \
	    echo "walfs: there is no dpkg-buildpackage; apt-get install build-essential debhelper" >&2; exit 1; }
	$(Q)rm -rf $(BUILD)/deb && mkdir -p $(DEB_TREE)
	$(Q)tar -c --exclude=./.git --exclude=./build --exclude=./$(BUILD) . | tar -x -C $(DEB_TREE)
	$(Q)cd $(DEB_TREE) && env -u MAKEFLAGS -u MAKELEVEL -u BUILD dpkg-buildpackage -us -uc -b

.PHONY: clean
clean: ## remove what was built
	$(Q)rm -rf $(BUILD)

.PHONY: help
help: ## this list
	@sed -n '/^# Knobs/,/^# Changed/{/^# Changed/d;s/^# \{0,1\}//;p;}' Makefile
	@echo 'Targets:'; echo
	@awk -F '## ' '/^[a-z_.-]+:.*## / { split($$1, name, ":"); \
	    printf "  %-21s %s\n", name[1], $$2 }' Makefile

-include $(CORE_OBJ:.o=.d) $(WALCTL_OBJ:.o=.d) $(FS_OBJ:.o=.d) $(TEST_OBJ:.o=.d) \
	$(SUPPORT_OBJ:.o=.d) $(FIXTURE_OBJ:.o=.d) $(HELPER_OBJ:.o=.d) $(BENCH_OBJ:.o=.d) $(FUZZ_OBJ:.o=.d) \
	$(CRASH_OBJ:.o=.d) $(STORM_OBJ:.o=.d) $(SEEDS_OBJ:.o=.d)
