"""The use case "bikes": will an hour be busier than usual? Hourly rentals and weather, 2011.

`published` reads the table and says when each outcome became known, `rules` judges its months,
`words` names them, `usecase` states features and all else; `configs.yaml` has its configs.
"""
