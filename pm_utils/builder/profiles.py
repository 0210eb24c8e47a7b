"""Profiles: YAML files beside the notebooks that give parameters other values."""

from typing import Any

import yaml

from pm_utils.builder.chapters import Chapter, value_faults
from pm_utils.builder.project import Project


class UniqueKeys(yaml.SafeLoader):
    """Reads YAML, and refuses a mapping that has a key twice, of which the last would win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping.

        Raises
        ------
        yaml.constructor.ConstructorError
            When a key comes twice.
        """
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                problem = f"{key} is given more than once: keep one"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return super().construct_mapping(node, deep)


def load_profile(
    project: Project, profile: str, chapters: dict[str, Chapter], problems: list[str]
) -> dict[str, dict[str, Any]]:
    """Read ``notebooks/<profile>.yml`` (chapter → parameter → value).

    Parameters
    ----------
    project : Project
        The checkout.
    profile : str
        The file's name without suffix.
    chapters : dict
        The chapters, by name.
    problems : list of str
        An unknown chapter or parameter and a value of the wrong type are appended here.

    Returns
    -------
    dict
        Per chapter the values that differ from those in its notebook.
    """
    path = project.notebooks / f"{profile}.yml"
    known = sorted(file.stem for file in project.notebooks.glob("*.yml"))
    try:
        if profile not in known:  # looked up before it is joined: it may be a path
            raise FileNotFoundError(profile)
        content = yaml.load(path.read_text(encoding="utf-8"), UniqueKeys) or {}
    except FileNotFoundError:
        problems.append(f"there is no profile {profile}: {', '.join(known) or 'there are none'}")
        content = {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append(f"{path.name} is no valid YAML: {' '.join(str(error).split())}")
        content = {}
    changes: dict[str, dict[str, Any]] = {name: {} for name in chapters}
    if not isinstance(content, dict):
        problems.append(f"{path.name} must map chapters to parameters")
        return changes
    existing = {file.stem for file in project.sources}
    for name, values in content.items():
        if name in chapters:
            found: list[str] = []
            changes[name] = differences(chapters[name], values, found)
            problems.extend(f"{path.name}, {name}: {problem}" for problem in found)
        elif name not in existing:  # a chapter that exists but is broken is reported once
            problems.append(f"{path.name} names the chapter {name}, which does not exist")
    return changes


def differences(chapter: Chapter, values: Any, problems: list[str]) -> dict[str, Any]:
    """Return the values that differ from the notebook's; append what is unknown or mistyped.

    Examples
    --------
    A whole number becomes a float where the notebook has one; a value of another type is refused.

    >>> from pm_utils.builder.chapters import Chapter
    >>> from pm_utils.builder.profiles import differences
    >>> parameters, problems = {"seed": 0, "rate": 0.5}, []
    >>> chapter = Chapter("01-one", "One", (), (), parameters, notebook=None)
    >>> differences(chapter, {"seed": 0, "rate": 2}, problems)
    {'rate': 2.0}
    >>> differences(chapter, {"seed": 1.5}, problems)
    {}
    >>> problems
    ['seed is 1.5 (float), it must be of type int like 0']
    """
    if not isinstance(values, dict):
        problems.append("give a mapping of parameters to values")
        return {}
    changed = {}
    for name, value in values.items():
        if name not in chapter.parameters:
            known = ", ".join(chapter.parameters)
            problems.append(f"there is no parameter {name} (its parameters cell has {known})")
            continue
        default = chapter.parameters[name]
        if not _fits(value, default):
            problems.append(
                f"{name} is {value!r} ({type(value).__name__}), "
                f"it must be of type {type(default).__name__} like {default!r}"
            )
        elif faults := value_faults(value):
            problems.extend(f"{name} {fault}" for fault in faults)
        elif value != default:
            changed[name] = float(value) if type(default) is float else value
    return changed


def _fits(value: Any, default: Any) -> bool:
    if default is None or type(value) is type(default):
        return True
    return type(default) is float and type(value) is int
