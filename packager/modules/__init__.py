"""Which Python modules a bundle needs: told from the imports in its ``.pyc`` files and from traced runs, not guessed.

``bytecode`` reads the imports of one file, ``names`` knows which modules a tree has, ``graph`` joins the two, ``trace``
is what runs have loaded, ``plan`` decides what stays, ``why`` explains it, ``record`` makes traces.
"""

from packager.modules.plan import ModulePlan, Rules, plan_modules

__all__ = ["ModulePlan", "Rules", "plan_modules"]
